package intercept

import (
	"errors"
	"math"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"upall/intercept/registry"
	"upall/intercept/seccomp"
	"upall/intercept/serve"
	"upall/internal/event"
	"upall/internal/linux"
)

// listen performs the call on the duplicate, so that the moment is exact; then
// comes the response, then the releases.
func (s *source) listen(n *seccomp.Notification) {
	sock := s.socket(n, (*linux.Socket).IsTCP)
	if sock == nil {
		return
	}
	defer s.discard(sock)
	if at, ok := s.earlyFor(sock); ok {
		s.takeOver(n, sock, at)
		return
	}
	errno := linux.Errno(sock.Listen(int(int32(n.Args[1]))), 0)
	local, err := sock.LocalAddr()
	s.reply(n.ID, errno)
	if errno != 0 || err != nil {
		return
	}
	s.listens(n, s.logical(local))
}

// logical is the endpoint that a listener on local stands for.
func (s *source) logical(local netip.AddrPort) netip.AddrPort {
	for at, real := range s.remapped {
		if real == local {
			return at
		}
	}
	return local
}

// listens tells of a listener.
func (s *source) listens(n *seccomp.Notification, at netip.AddrPort) {
	i := s.instance
	s.tell(event.Event{Type: event.Listening, Instance: i.Name, Port: at.Port()})
	probe, ok := serve.For(linux.ProgramNames(int(n.PID))...)
	if ok {
		s.serveProbes[i] = probe
	}
	s.step(registry.Listened{Instance: i.Name, At: at, Probe: ok})
}

// probe waits until the listener serves.
func (i *Interceptor) probe(at netip.AddrPort) {
	n := i.instanceAt(at.Addr())
	if n == nil {
		return
	}
	ctx, probe, real := n.probes, i.serveProbes[n], i.real(at)
	i.work.Go(func() {
		if err := serve.Wait(ctx, probe, real, 0); err != nil {
			return // the instance has ended
		}
		i.post(func() {
			if ctx.Err() == nil {
				i.step(registry.Served{At: at})
			}
		})
	})
}

func (i *Interceptor) instanceAt(addr netip.Addr) *instance {
	for _, n := range i.instances {
		if slices.Contains(n.Addrs, addr) {
			return n
		}
	}
	return nil
}

// earlyListener listens in place of an instance that has not come so far.
type earlyListener struct{ sock *linux.Socket }

// openEarly opens the early listeners of an instance that is about to start.
func (i *Interceptor) openEarly(n *instance) {
	if i.disabled.Has(linux.EarlyListen) {
		return
	}
	for _, port := range n.Early {
		at := netip.AddrPortFrom(n.Addrs[0], port)
		if i.early[at] != nil {
			continue
		}
		sock, err := i.listenAt(at)
		if err != nil {
			i.log.Warn("open an early listener", "instance", n.Name, "port", port, "error", err)
			continue
		}
		i.early[at] = &earlyListener{sock}
	}
}

// listenAt listens on the endpoint, or where it is remapped to.
func (i *Interceptor) listenAt(at netip.AddrPort) (*linux.Socket, error) {
	sock, err := linux.ListenTCP(i.real(at), unix.SOMAXCONN)
	for offset := 0; errors.Is(err, unix.EACCES) && offset < remapTries; offset++ {
		real := remap(at, offset)
		if sock, err = linux.ListenTCP(real, unix.SOMAXCONN); err == nil {
			i.remapped[at] = real
		} else if errors.Is(err, unix.EADDRINUSE) {
			err = unix.EACCES
		}
	}
	return sock, err
}

func (i *Interceptor) closeEarly(n *instance) {
	if n == nil {
		return
	}
	for _, port := range n.Early {
		at := netip.AddrPortFrom(n.Addrs[0], port)
		if e := i.early[at]; e != nil {
			i.discard(e.sock)
			delete(i.early, at)
		}
	}
}

// endEarly resets the client's connection where it must not go on: holds end
// oldest first, and so does a backlog.
func (i *Interceptor) endEarly(h *hold, end event.End) {
	e := i.early[h.target]
	if e == nil || (end != event.Refused && end != event.Expired) {
		return
	}
	fd, _, err := unix.Accept4(e.sock.Int(), unix.SOCK_CLOEXEC)
	if err != nil {
		return
	}
	i.logIf("reset a connection", errors.Join(
		unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}),
		linux.NewFD(fd).Close()))
}

// earlyFor returns the endpoint whose early listener the socket is to become.
func (i *Interceptor) earlyFor(sock *linux.Socket) (netip.AddrPort, bool) {
	cookie, err := sock.Cookie()
	if err != nil {
		return netip.AddrPort{}, false
	}
	at, ok := i.bound[cookie]
	return at, ok && i.early[at] != nil
}

// takeOver puts the early listener, with its backlog full of clients, in the
// place of the instance's own socket.
func (s *source) takeOver(n *seccomp.Notification, sock *linux.Socket, at netip.AddrPort) {
	early := s.early[at].sock
	s.logIf("copy socket options", early.CopyOptions(sock))
	fd := int(int32(n.Args[0]))
	err := early.Listen(int(int32(n.Args[1])))
	if err == nil {
		err = s.fd.ReplaceFD(n.ID, early.FD, fd, linux.IsCloseOnExec(int(n.PID), fd))
	}
	if err != nil {
		s.log.Warn("hand an early listener over", "instance", s.instance.Name, "error", err)
		s.reply(n.ID, linux.Errno(err, unix.EINVAL))
		return
	}
	s.reply(n.ID, 0)
	delete(s.early, at)
	s.discard(early)
	s.listens(n, at)
	s.step(registry.Take{At: at, Max: math.MaxInt}) // they are connected already
}
