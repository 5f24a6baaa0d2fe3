package control

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"upall/internal/event"
)

// follow collects what Follow gives, as text, and tells how it ended.
func follow(t *testing.T, c *Client, o FollowOptions) (got chan string, ended chan error) {
	t.Helper()
	got, ended = make(chan string, 100), make(chan error, 1)
	o.Restarted = func(s Snapshot) { got <- fmt.Sprintf("life %d", s.Life) }
	go func() {
		ended <- c.Follow(t.Context(), o, func(r Record) error {
			got <- fmt.Sprintf("%d %s", r.Seq, r.Type)
			return nil
		})
	}()
	return got, ended
}

func expect(t *testing.T, got chan string, want ...string) {
	t.Helper()
	for _, w := range want {
		select {
		case g := <-got:
			if g != w {
				t.Fatalf("got %q, want %q", g, w)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%q does not come", w)
		}
	}
}

func TestFollow(t *testing.T) {
	t.Parallel()
	s := serve(t)
	got, ended := follow(t, s.dial(), FollowOptions{Since: 1, Logs: true})
	expect(t, got, "2 hold_began", "3 log")
	s.log.Append(notice(4))
	expect(t, got, "4 notice")
	s.log.Append(notice(5)) // right before the end, and not lost
	s.end()
	expect(t, got, "5 notice")
	if err := <-ended; err != nil {
		t.Errorf("an end in order: %v", err)
	}
}

// A message that is no UTF-8 arrives as it was written.
func TestFollowBytes(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.log.Append(output(anyBytes))
	enough := errors.New("enough")
	var got string
	err := s.dial().Follow(t.Context(), FollowOptions{Since: 3, Logs: true}, func(r Record) error { got = r.Message; return enough })
	if got != anyBytes || !errors.Is(err, enough) {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestFollowTypes(t *testing.T) {
	t.Parallel()
	s := serve(t)
	got, _ := follow(t, s.dial(), FollowOptions{Types: []event.Type{event.Log, event.Notice}})
	expect(t, got, "3 log")
	s.log.Append(event.Event{Type: event.Warning})
	s.log.Append(notice(5))
	expect(t, got, "5 notice")
}

// A connection that breaks loses nothing and doubles nothing.
func TestFollowOverACut(t *testing.T) {
	t.Parallel()
	s := serve(t)
	got, _ := follow(t, s.dial(), FollowOptions{})
	expect(t, got, "1 state_changed", "2 hold_began")
	for n := range 20 {
		s.listener.cut(false)
		seq := s.log.Append(notice(n))
		expect(t, got, fmt.Sprintf("%d notice", seq))
	}
}

// After a crash it says so once, and gives all that the new supervisor tells.
func TestFollowOverACrash(t *testing.T) {
	t.Parallel()
	s := serve(t)
	got, ended := follow(t, s.dial(), FollowOptions{Life: 1})
	expect(t, got, "1 state_changed", "2 hold_began")
	for life := 2; life < 5; life++ {
		s.crash()
		s.live(life)
		s.log.Append(event.Event{Type: event.Crashed}) // the supervisor says so itself
		s.log.Append(notice(2))
		s.log.Append(notice(3))
		expect(t, got, fmt.Sprintf("life %d", life), "0 crashed", "2 notice", "3 notice")
		s.log.Append(notice(4))
		expect(t, got, "4 notice")
	}
	s.end()
	if err := <-ended; err != nil {
		t.Errorf("an end in order: %v", err)
	}
}

// A crash between the snapshot and the first event is told too.
func TestFollowFromAnEarlierLife(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.crash()
	s.live(2)
	s.log.Append(notice(1))
	got, _ := follow(t, s.dial(), FollowOptions{Life: 1, Since: 900})
	expect(t, got, "life 2", "0 crashed", "1 notice")
}

func TestFollowGivesUp(t *testing.T) {
	t.Parallel()
	s := serve(t)
	c := s.dial()
	got, ended := follow(t, c, FollowOptions{})
	expect(t, got, "1 state_changed", "2 hold_began")
	if err := s.keeper.Close(); err != nil { // it removes the socket
		t.Fatal(err)
	}
	s.crash()
	if err := <-ended; !errors.Is(err, ErrGone) {
		t.Errorf("the supervisor is gone for good: %v", err)
	}
	own := errors.New("enough")
	if err := serve(t).dial().Follow(t.Context(), FollowOptions{}, func(Record) error { return own }); !errors.Is(err, own) {
		t.Errorf("the caller's error: %v", err)
	}
}

// Lines go on over a crash, each once.
func TestLogsOverACrash(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	s := serve(t)
	open := func() {
		output, err := OpenOutput(folder, func(w string) { t.Error(w) })
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = output.Close() })
		s.project.output = output
	}
	open()
	c, got, ended := s.dial(), make(chan string, 100), make(chan error, 1)
	at := epoch
	write := func(instance, message string) {
		at = at.Add(time.Millisecond)
		s.project.output.Write(LogLine{Time: at, Service: "web", Instance: instance, Message: message})
	}
	write("web-1", "one")
	write("web-2", "two")
	go func() {
		ended <- c.Logs(t.Context(), LogQuery{Tail: 1, Follow: true}, func(l LogLine) error { got <- l.Message; return nil })
	}()
	expect(t, got, "one", "two")
	for range 3 {
		write("web-1", "before")
		expect(t, got, "before")
		s.crash()
		_ = s.project.output.Close()
		open()
		write("web-2", "meanwhile")
		s.live(2)
		expect(t, got, "meanwhile")
		write("web-1", "after")
		expect(t, got, "after")
	}
	s.end()
	if err := <-ended; err != nil {
		t.Errorf("an end in order: %v", err)
	}
}
