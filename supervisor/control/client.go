package control

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"time"
)

// Client talks to a project's supervisor. Make one with Dial or DialStream; any
// number of goroutines may use it.
type Client struct {
	http http.Client
}

// Dial connects to the socket at path. The error is ErrGone where nobody answers.
func Dial(ctx context.Context, path string) (*Client, error) {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
	// No connection is used twice: one that is idle would fail after a crash.
	return connect(ctx, &http.Transport{DialContext: dial, DisableKeepAlives: true})
}

// Bounds of how long a connection of DialStream that carries nothing any more goes
// unnoticed.
const (
	pingAfter   = 15 * time.Second
	pingTimeout = 15 * time.Second
)

// DialStream connects through dial, for which a connection may be dear: one carries
// all requests (HTTP/2), and another is made when it is lost. The error is ErrGone
// where nobody answers.
func DialStream(ctx context.Context, dial func(context.Context) (net.Conn, error)) (*Client, error) {
	t := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
		Protocols:   new(http.Protocols),
		HTTP2:       &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
	}
	t.Protocols.SetUnencryptedHTTP2(true)
	return connect(ctx, t)
}

func connect(ctx context.Context, t *http.Transport) (*Client, error) {
	c := &Client{http.Client{Transport: t}}
	snapshot, err := c.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	if snapshot.API != Version {
		return nil, fmt.Errorf("the project's supervisor (upall %s) speaks API %q, and this upall %q: end the project with its own upall", snapshot.Version, snapshot.API, Version)
	}
	return c, nil
}

// Snapshot returns the project as it is now.
func (c *Client) Snapshot(ctx context.Context) (s Snapshot, err error) {
	err = c.call(ctx, http.MethodGet, "/project", nil, &s)
	return s, err
}

// Record returns the lines of the record of the present run. The caller closes it.
func (c *Client) Record(ctx context.Context) (io.ReadCloser, error) {
	r, err := c.open(ctx, http.MethodGet, "/record", nil, nil)
	if err != nil {
		return nil, err
	}
	return r.Body, nil
}

// Apply makes the project what the Spec says, once also over a crash of the
// supervisor. Events after seq tell how it goes.
func (c *Client) Apply(ctx context.Context, s *Spec) (seq uint64, err error) {
	identified := *s
	identified.ID = rand.Text()
	var a accepted
	err = c.call(ctx, http.MethodPut, "/project", &identified, &a)
	return a.Seq, err
}

// Act does something with services, and returns when it is done; over a crash of the
// supervisor it asks again. Timeouts are rounded up to seconds. Events after seq tell how it went.
func (c *Client) Act(ctx context.Context, action Action) (seq uint64, err error) {
	body := actionBody{Services: action.Services, NoDeps: action.NoDeps, Signal: action.Signal, Forget: action.Forget}
	if action.Timeout != nil {
		body.Timeout = new(int((*action.Timeout + time.Second - 1) / time.Second))
	}
	var a accepted
	err = c.call(ctx, http.MethodPost, "/actions/"+string(action.Verb), body, &a)
	return a.Seq, err
}

// Replace has the next life of an agent's supervisor take over, and returns when it
// has: before is from the present one.
func (c *Client) Replace(ctx context.Context, before Snapshot) error {
	var a accepted
	err := c.callOnce(ctx, http.MethodPost, "/actions/"+string(Replace), actionBody{}, &a)
	if err != nil && !wasCut(err) {
		return err
	}
	for {
		now, err := c.Snapshot(ctx)
		if err != nil || now.Life > before.Life {
			return err
		}
		select {
		case <-time.After(again):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// call makes a request whose answer is one JSON value. What is asked may be asked
// again, and is after a crash.
func (c *Client) call(ctx context.Context, method, path string, body, answer any) error {
	for tries := comeBack / again; ; tries-- {
		err := c.callOnce(ctx, method, path, body, answer)
		if !wasCut(err) || tries == 0 {
			return err
		}
		select {
		case <-time.After(again):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// wasCut tells whether somebody has answered and was gone then. Whoever connects to
// a supervisor that has crashed waits for its next life; where there is none to come,
// or none for this user, the connect fails.
func wasCut(err error) bool {
	return errors.Is(err, ErrGone) && !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission)
}

func (c *Client) callOnce(ctx context.Context, method, path string, body, answer any) error {
	r, err := c.open(ctx, method, path, nil, body)
	if err != nil {
		return err
	}
	defer func() { _ = r.Body.Close() }() // only read
	if err := json.NewDecoder(r.Body).Decode(answer); err != nil {
		return lost(ctx, err)
	}
	return nil
}

// open makes a request and returns its answer, which is a success.
func (c *Client) open(ctx context.Context, method, path string, query url.Values, body any) (*http.Response, error) {
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("write the request: %w", err)
		}
		content = bytes.NewReader(text)
	}
	target := url.URL{Scheme: "http", Host: "upall", Path: "/" + Version + path, RawQuery: query.Encode()}
	request, err := http.NewRequestWithContext(ctx, method, target.String(), content)
	if err != nil {
		return nil, err
	}
	r, err := c.http.Do(request)
	if err != nil {
		return nil, lost(ctx, err)
	}
	if r.StatusCode < http.StatusBadRequest {
		return r, nil
	}
	defer func() { _ = r.Body.Close() }() // only read
	answer := &Error{Status: r.StatusCode}
	if err := json.NewDecoder(r.Body).Decode(answer); err != nil || answer.Message == "" {
		answer.Message = "the project's supervisor answers " + r.Status
	}
	return nil, answer
}

// lost says that the connection has failed, unless the caller itself ended it.
func lost(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if inner, ok := errors.AsType[*url.Error](err); ok {
		err = inner.Err // without the address, which means nothing
	}
	return fmt.Errorf("%w: %w", ErrGone, err)
}
