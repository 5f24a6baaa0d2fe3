package serve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
)

const (
	defaultInterval = 5 * time.Millisecond
	// maxInterval bounds the pause between two probes of a server that takes long.
	maxInterval = 250 * time.Millisecond
	// patience is how long an accepted connection may stay without an answer
	// before we let clients find out themselves.
	patience = 10 * time.Second
	// maxSilent is the number of connections, one after the other, that a server
	// may close without a word before we take it for its way of answering a
	// stranger. A single one may be a server that just died.
	maxSilent = 3
	// byeTimeout bounds how long a server may take to hear our farewell.
	byeTimeout = 200 * time.Millisecond
	// maxReply is the most of a reply that is looked at, in bytes.
	maxReply = 1 << 16
)

// Options are for Wait. The zero value is what a server in the caller's own
// network namespace needs.
type Options struct {
	Interval time.Duration // between probes, 0 = 5 ms
	// Dial connects over TCP, for a server that is reached from elsewhere. It is
	// to give up when ctx ends. Nil: from the caller's network namespace.
	Dial func(ctx context.Context, addr netip.AddrPort) (net.Conn, error)
}

func dial(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "tcp", addr.String())
}

// Wait returns nil when the server at addr gives service by the judgement of
// p. It connects and probes every interval, and at longer intervals
// when the server takes long: the pause grows to a twentieth of the time waited,
// at most 250 ms, since each probe may be a line in the server's log. A
// connection refused or reset means that the listener is not there at the
// moment: Wait goes on.
//
// Errors: that of ctx when it ends first (wrapped, with addr), and that of
// connect(2) when addr cannot be reached at all.
func Wait(ctx context.Context, p Probe, addr netip.AddrPort, o Options) error {
	if o.Interval <= 0 {
		o.Interval = defaultInterval
	}
	if o.Dial == nil {
		o.Dial = dial
	}
	begin := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for closed := 0; ; {
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s at %s: %w", p.name, addr, ctx.Err())
		case <-timer.C:
		}
		v, err := p.once(ctx, addr, o)
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("wait for %s at %s: %w", p.name, addr, ctx.Err())
		case err != nil:
			return fmt.Errorf("probe %s at %s: %w", p.name, addr, err)
		case v == serving:
			return nil
		case v == silent:
			closed++
		default:
			closed = 0
		}
		if closed == maxSilent {
			return nil
		}
		timer.Reset(pause(o.Interval, time.Since(begin)))
	}
}

// pause returns the time to the next probe of a server that was waited for so
// long.
func pause(interval, waited time.Duration) time.Duration {
	return max(interval, min(waited/20, maxInterval))
}

// once makes one connection and judges what comes back.
func (p Probe) once(ctx context.Context, addr netip.AddrPort, o Options) (verdict, error) {
	dialing, cancel := context.WithTimeout(ctx, patience)
	conn, err := o.Dial(dialing, addr)
	cancel()
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) {
		return starting, nil
	}
	if isTimeout(err) {
		return starting, nil // its backlog is full
	}
	if err != nil {
		return starting, err
	}
	// Nothing is lost in a probe's connection; and a deadline cannot be set only
	// on one that is closed, where the next read says so.
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(patience))
	// The connection is interrupted when ctx ends.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	v, reply := p.converse(conn)
	if v == serving && p.bye != nil {
		sayBye(conn, p.bye(reply))
	}
	return v, nil
}

// converse says hello and reads until the reply can be judged.
func (p Probe) converse(conn net.Conn) (verdict, []byte) {
	if _, err := conn.Write(p.hello); err != nil {
		return p.judge(nil, true), nil
	}
	var reply []byte
	chunk := make([]byte, 4096)
	for {
		n, err := conn.Read(chunk)
		reply = append(reply, chunk[:n]...)
		if isTimeout(err) {
			return serving, nil
		}
		v := p.judge(reply, err != nil || len(reply) > maxReply)
		if v != undecided {
			return v, reply
		}
	}
}

// sayBye sends the farewell and reads to the end: a close with unread bytes is
// a reset, which servers put into their log.
func sayBye(conn net.Conn, bye []byte) {
	if bye == nil {
		return
	}
	_ = conn.SetDeadline(time.Now().Add(byeTimeout))
	if _, err := conn.Write(bye); err != nil {
		return
	}
	chunk := make([]byte, 4096)
	for {
		if _, err := conn.Read(chunk); err != nil {
			return
		}
	}
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &ne) && ne.Timeout()
}
