package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"upall/internal/event"
)

const (
	// comeBack is how long a supervisor may take to answer again after a crash.
	comeBack = 10 * time.Second
	// again is the pause between two attempts.
	again = 20 * time.Millisecond
)

// FollowOptions say what Follow gives.
type FollowOptions struct {
	Since uint64       // only what comes after this event, of this life
	Life  int          // as in a Snapshot; 0 = whichever runs
	Types []event.Type // none = all
	Logs  bool         // lines of services too
	// Restarted is called after a restart of the supervisor, before the Crashed that
	// tells it; may be nil.
	Restarted func(Snapshot)
}

func (o FollowOptions) values() url.Values {
	v := url.Values{"follow": {"1"}, "since": {strconv.FormatUint(o.Since, 10)}}
	if o.Life != 0 {
		v.Set("life", strconv.Itoa(o.Life))
	}
	if o.Logs {
		v.Set("logs", "1")
	}
	if len(o.Types) > 0 {
		var names []string
		for _, t := range o.Types {
			names = append(names, string(t))
		}
		v.Set("types", strings.Join(names, ","))
	}
	return v
}

// Follow calls handle for each event, each once and in order, until the
// supervisor has ended in order (nil), the context is over, or handle returns an
// error, which it returns. Over a restart of the supervisor it goes on: handle
// gets one Crashed, whatever the types, and then all events of the new life.
func (c *Client) Follow(ctx context.Context, o FollowOptions, handle func(Record) error) error {
	var stop stopper
	f := &follower{client: c, FollowOptions: o, handle: stopping(&stop, handle)}
	return stop.or(persist(ctx, f.attempt))
}

// stopper keeps the error of a caller's function apart from those of the
// connection, which it may wrap.
type stopper struct{ err error }

var errStopped = errors.New("stopped")

func stopping[T any](s *stopper, call func(T) error) func(T) error {
	return func(v T) error {
		if s.err = call(v); s.err != nil {
			return errStopped
		}
		return nil
	}
}

func (s *stopper) or(err error) error {
	if s.err != nil {
		return s.err
	}
	return err
}

// follower is one call of Follow.
type follower struct {
	client *Client
	FollowOptions
	handle  func(Record) error
	crashes int // lives whose beginning was said
}

// persist repeats an attempt for as long as the supervisor may come back. The
// attempt gets the moment since when nobody answers, and says when somebody does.
func persist(ctx context.Context, attempt func(ctx context.Context, since time.Time, connected func()) error) error {
	var since time.Time
	for {
		tried, cancel := context.WithCancelCause(ctx)
		timer := time.AfterFunc(comeBack, func() { cancel(ErrGone) })
		begun, answered := time.Now(), false
		err := attempt(tried, since, func() { answered = timer.Stop() })
		timer.Stop()
		cancel(nil)
		isOver := errors.Is(err, fs.ErrNotExist) // the socket is gone, so nobody comes back
		switch {
		case !errors.Is(err, ErrGone) || isOver:
			return err
		case answered:
			since = time.Now()
		case since.IsZero():
			since = begun
		}
		if time.Since(since) > comeBack {
			return err
		}
		select {
		case <-time.After(again):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (f *follower) attempt(ctx context.Context, since time.Time, connected func()) error {
	r, err := f.client.open(ctx, http.MethodGet, "/events", f.values(), nil)
	if err != nil {
		return err
	}
	defer func() { _ = r.Body.Close() }() // only read
	life, err := strconv.Atoi(r.Header.Get(lifeHeader))
	if err != nil {
		return errors.New("the project's supervisor does not say which life it is in")
	}
	if f.Life != 0 && f.Life != life {
		if err := f.restart(ctx, since, life); err != nil {
			return err
		}
	}
	f.Life = life
	connected()
	isNew := f.crashes > 0
	return read(ctx, r.Body, func(read wireRecord) error {
		record := read.record()
		if isNew && record.Type == event.Crashed {
			return nil // said already
		}
		if err := f.handle(record); err != nil {
			return err
		}
		f.Since = record.Seq
		return nil
	})
}

// restart says that the supervisor is another.
func (f *follower) restart(ctx context.Context, since time.Time, life int) error {
	snapshot, err := f.client.Snapshot(ctx)
	if err != nil {
		return err
	}
	f.Since, f.Life = 0, life
	f.crashes++
	e := event.Event{Type: event.Crashed, Time: time.Now(), Message: fmt.Sprintf("upall's supervisor had died, and goes on (life %d)", life)}
	if !since.IsZero() {
		e.Elapsed = e.Time.Sub(since)
	}
	if f.Restarted != nil {
		f.Restarted(snapshot)
	}
	return f.handle(Record{Event: e})
}

// read calls handle for each line of an answer until it ends in order.
func read[T any](ctx context.Context, body io.Reader, handle func(T) error) error {
	for d := json.NewDecoder(body); ; {
		var v T
		err := d.Decode(&v)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return lost(ctx, err)
		}
		if err := handle(v); err != nil {
			return err
		}
	}
}
