package forward

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

const (
	// dialTries and dialPause bound how long a service that was ready, and
	// refuses now, is taken to be restarting.
	dialTries = 50
	dialPause = 20 * time.Millisecond
	// watchAfter is how long a client waits before we look whether it is still
	// there. A service that is up gets every client as it is: one that ends its
	// stream before its first byte may want to read only.
	watchAfter = 100 * time.Millisecond
	// acceptPause is the rest after an accept that failed for want of resources.
	acceptPause = 50 * time.Millisecond
	// drainTime is how long the other direction may still deliver what has
	// arrived after one direction failed.
	drainTime = 100 * time.Millisecond
)

var errClientGone = errors.New("the client went away")

// accept runs until the listener is closed.
func (f *Forwarder) accept(l *net.TCPListener) {
	for {
		client, err := l.AcceptTCP()
		switch {
		case err == nil:
			f.wg.Go(func() { f.serve(client) })
		case errors.Is(err, net.ErrClosed):
			return
		case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.ENOBUFS), errors.Is(err, syscall.ENOMEM):
			f.log.Warn("accept on published port", "addr", l.Addr(), "err", err)
			if !pause(f.ctx, acceptPause) {
				return
			}
		default:
			f.log.Error("published port is no longer served", "addr", l.Addr(), "err", err)
			return
		}
	}
}

// pause returns false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// serve holds one client until the service serves and then splices the two.
func (f *Forwarder) serve(client *net.TCPConn) {
	service, err := f.connect(client)
	if err != nil {
		f.log.Debug("published port: client dropped", "client", client.RemoteAddr(), "err", err)
		abort(client)
		return
	}
	if f.config.Connected != nil {
		f.config.Connected(service)
	}
	splice(f.ctx, client, service)
}

// connect returns a connection to the service, or an error when the service
// is known not to come or the client has gone.
func (f *Forwarder) connect(client *net.TCPConn) (*net.TCPConn, error) {
	ctx, cancel := context.WithCancelCause(f.ctx)
	defer cancel(nil)
	watching, endWatch := context.WithCancel(ctx)
	defer endWatch()
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		if pause(watching, watchAfter) && isGone(client) {
			cancel(errClientGone)
		}
	}()
	service, err := f.dial(ctx)
	// End the watch, which reads nothing, and give the client its deadline back.
	// Setting a deadline or an option, here and below, fails on a closed
	// connection only, and then the next read or write says so.
	endWatch()
	_ = client.SetReadDeadline(time.Unix(1, 0))
	<-watched
	_ = client.SetReadDeadline(time.Time{})
	if cause := context.Cause(ctx); cause != nil {
		if service != nil {
			abort(service)
		}
		return nil, cause
	}
	return service, err
}

// dial waits for the service and connects to it. A refusal means that it is
// just restarting, so it is asked for again.
func (f *Forwarder) dial(ctx context.Context) (*net.TCPConn, error) {
	var d net.Dialer
	for try := 1; ; try++ {
		target, err := f.config.Target(ctx)
		if err != nil {
			return nil, err
		}
		conn, err := d.DialContext(ctx, "tcp", target.String())
		if err == nil {
			return conn.(*net.TCPConn), nil
		}
		if !errors.Is(err, syscall.ECONNREFUSED) || try == dialTries || !pause(ctx, dialPause) {
			return nil, err
		}
	}
}

// isGone blocks until the client went away (true) or its read deadline passed
// (false). Gone is a reset, and an end of its stream before the first byte: a
// port probe or a client that gave up. An end after some bytes may as well be
// a request whose sender now waits for the answer; when such a client is gone
// for good, its kernel forgets the connection after net.ipv4.tcp_fin_timeout
// (60 s) and answers the next keepalive with a reset.
func isGone(client *net.TCPConn) bool {
	raw, err := client.SyscallConn()
	if err != nil {
		return true
	}
	isGone := false
	// The function is called again each time the poller sees a change. The error
	// is that of the deadline, by which the caller ends the watch.
	_ = raw.Read(func(fd uintptr) bool {
		isGone = peekEnd(int(fd))
		return isGone
	})
	return isGone
}

func peekEnd(fd int) bool {
	code, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_ERROR)
	if err != nil || code != 0 {
		return true
	}
	var b [1]byte
	n, _, err := syscall.Recvfrom(fd, b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EINTR) {
		return false
	}
	return err != nil || n == 0
}

// splice copies both ways until both directions have ended or ctx ends, and
// closes both connections.
func splice(ctx context.Context, client, service *net.TCPConn) {
	stop := context.AfterFunc(ctx, func() { abort(client); abort(service) })
	defer stop()
	var wg sync.WaitGroup
	errs := [2]error{}
	wg.Go(func() { errs[0] = pump(service, client) })
	wg.Go(func() { errs[1] = pump(client, service) })
	wg.Wait()
	end(service, errs[0])
	end(client, errs[1])
}

// end closes a connection: in order when all that was meant for it arrived, and
// with a reset when its peer was reset.
func end(c *net.TCPConn, err error) {
	if err != nil {
		abort(c)
		return
	}
	_ = c.Close()
}

// pump copies one direction and hands on its end. The kernel does the copying:
// TCPConn.ReadFrom uses splice(2).
func pump(dst, src *net.TCPConn) error {
	if _, err := io.Copy(dst, src); err != nil {
		// One of the two is broken. The other direction notices if it has work;
		// if not, it must not wait for ever.
		_ = dst.SetReadDeadline(time.Now().Add(drainTime))
		return err
	}
	_ = dst.CloseWrite() // fails when dst was reset, which the other direction sees
	return nil
}

// abort closes a connection with a reset.
func abort(c *net.TCPConn) {
	_ = c.SetLinger(0)
	_ = c.Close()
}

// dialUDP connects a UDP socket to the service.
func dialUDP(target netip.AddrPort) (*net.UDPConn, error) {
	return net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(target))
}
