package control

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"time"
)

// Lease is the right to change the project, among those who ask for it. After a
// crash of the supervisor its holder takes it again before those who wait.
type Lease struct {
	cancel func()
	over   chan struct{} // closed when nothing of it goes on
}

// Lease waits until it is this client's turn. queued is called where others come
// first, with the process that has the lease; may be nil.
func (c *Client) Lease(ctx context.Context, queued func(ahead, holderPID int)) (*Lease, error) {
	held, cancel := context.WithCancel(context.WithoutCancel(ctx)) // ctx bounds the wait alone
	stop := context.AfterFunc(ctx, cancel)
	body, err := c.enter(held, leaseBody{}, queued)
	if !stop() && err == nil {
		_ = body.Close() // the context was over first
		err = ctx.Err()
	}
	if err != nil {
		cancel()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, err
	}
	l := &Lease{cancel, make(chan struct{})}
	go l.hold(held, c, body)
	return l, nil
}

// enter waits in the line until it is first. The lease is held while the body is
// open. Cut off, it begins anew.
func (c *Client) enter(ctx context.Context, ask leaseBody, queued func(ahead, holderPID int)) (io.ReadCloser, error) {
	for tries := comeBack / again; ; tries-- {
		body, err := c.enterOnce(ctx, ask, queued)
		if err == nil || !wasCut(err) || tries == 0 {
			return body, err
		}
		select {
		case <-time.After(again):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (c *Client) enterOnce(ctx context.Context, ask leaseBody, queued func(ahead, holderPID int)) (io.ReadCloser, error) {
	r, err := c.open(ctx, http.MethodPost, "/lease", nil, ask)
	if err != nil {
		return nil, err
	}
	for d := json.NewDecoder(r.Body); ; {
		var line leaseLine
		if err := d.Decode(&line); err != nil {
			_ = r.Body.Close() // it has failed already
			return nil, lost(ctx, err)
		}
		if line.Granted {
			return r.Body, nil
		}
		if queued != nil {
			queued(line.Ahead, line.HolderPID)
		}
	}
}

// hold keeps the lease until it is released.
func (l *Lease) hold(ctx context.Context, c *Client, body io.ReadCloser) {
	defer close(l.over)
	for {
		_, _ = io.Copy(io.Discard, body) // until it is released, or cut
		_ = body.Close()
		var err error
		if body, err = c.enter(ctx, leaseBody{Again: true}, nil); err != nil {
			return
		}
	}
}

// Release gives the lease to the next. Releasing a nil Lease does nothing.
func (l *Lease) Release() {
	if l == nil {
		return
	}
	l.cancel()
	<-l.over
}
