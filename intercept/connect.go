package intercept

import (
	"errors"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"upall/internal/event"
	"upall/internal/linux"
)

// connectFor connects the client's socket in its place: because actual is not the
// address that the client gave, or because the moment matters (see releaseKept).
// The call is answered with what the connect gives. A parked hold keeps its
// place: the SYN carries the mark.
func (i *Interceptor) connectFor(h *hold, actual netip.AddrPort) {
	s, sock := h.source, h.sock
	i.willConnect(h)
	if int(h.call.Nr) != unix.SYS_CONNECT { // the target's place was learned during the hold
		s.reply(h.call.ID, unix.EOPNOTSUPP)
		return
	}
	blocking := !sock.IsNonblock() || h.record.has(madeNonblk)
	if blocking {
		// The descriptor's file is shared with a client that waits in this call.
		h.record.set(madeNonblk)
		i.logIf("prepare a connect for a client", sock.SetNonblock(true))
	}
	errno := linux.Errno(sock.Connect(actual), 0)
	if h.way == event.Parked {
		h.src, _ = h.sock.LocalAddr() // whence the SYN comes; invalid: from asks again
	}
	if !blocking || (errno != unix.EINPROGRESS && errno != unix.EALREADY) {
		if blocking {
			i.logIf("finish a connect for a client", sock.SetNonblock(false))
			h.record.unset(madeNonblk)
		}
		switch {
		case errno == unix.EISCONN && (blocking || h.redone):
			errno = 0 // an earlier try of this call, interrupted by a signal or with a killed upall, has connected
		case errno == unix.EALREADY && h.redone:
			errno = unix.EINPROGRESS
		}
		s.reply(h.call.ID, errno)
		i.discardOf(h)
		return
	}
	h.sock = nil // now of the goroutine
	call, r := h.call, h.record
	r.set(performing)
	since := time.Now()
	if h.redone {
		since = r.beganAt()
	}
	s.waits.Go(func() {
		errno := awaitConnected(s, call.ID, sock, since)
		i.logIf("finish a connect for a client", errors.Join(sock.SetNonblock(false), sock.Close()))
		r.unset(madeNonblk)
		s.reply(call.ID, errno)
		r.unset(performing)
	})
}

// willConnect writes down that upall connects a client's socket, so that it can be
// told from a socket that the client has connected before.
func (i *Interceptor) willConnect(h *hold) {
	if h.record == nil && i.records != nil {
		h.record = i.records.take(h.content(i.nextID(), passing))
	}
}

func (i *Interceptor) logIf(what string, err error) {
	if err != nil {
		i.log.Warn(what, "error", err)
	}
}

// awaitConnected waits as a blocking connect does: until it ends, SO_SNDTIMEO is
// over, or the caller is gone.
func awaitConnected(s *source, id uint64, sock *linux.Socket, since time.Time) unix.Errno {
	const slice = 20 * time.Millisecond // bounds how long the end of the source waits
	var deadline time.Time
	if t := sock.SendTimeout(); t > 0 {
		deadline = since.Add(t)
	}
	for {
		fds := []unix.PollFd{{Fd: int32(sock.Int()), Events: unix.POLLOUT}}
		n, err := unix.Poll(fds, int(slice.Milliseconds()))
		switch {
		case n > 0:
			return sock.Error()
		case err != nil && !errors.Is(err, unix.EINTR):
			return linux.Errno(err, unix.EIO)
		case !s.fd.IsValid(id) || s.isStopped():
			return unix.EINTR
		case !deadline.IsZero() && time.Now().After(deadline):
			return unix.EINPROGRESS
		}
	}
}

func (s *source) isStopped() bool {
	select {
	case <-s.stop:
		return true
	default:
		return false
	}
}
