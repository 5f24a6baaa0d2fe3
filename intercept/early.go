package intercept

import (
	"errors"
	"math"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"upall/intercept/registry"
	"upall/intercept/seccomp"
	"upall/internal/event"
	"upall/internal/linux"
)

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
		actual := remap(at, offset)
		if sock, err = linux.ListenTCP(actual, unix.SOMAXCONN); err == nil {
			i.remapped[at] = actual
		} else if errors.Is(err, unix.EADDRINUSE) {
			err = unix.EACCES
		}
	}
	return sock, err
}

// maxEarlyChecks bounds how many clients of early listeners are looked at in a
// round.
const maxEarlyChecks = 1000

func (i *Interceptor) closeEarly(n *instance) {
	if n == nil {
		return
	}
	for at, e := range i.early {
		if slices.Contains(n.Addrs, at.Addr()) {
			i.discard(e.sock)
			delete(i.early, at)
		}
	}
}

// listensFor opens an early listener for a client that would else be blocked in
// a call that is not to block. It fails where something listens already, or has
// bound the port and may: its listen(2) would fail for ours.
func (i *Interceptor) listensFor(h *hold) bool {
	n := i.instances[h.server]
	if _, taken := i.places[h.target]; taken {
		return false
	}
	if i.disabled.Has(linux.EarlyListen) || n.OnDemand == nil || !n.OnDemand(h.target.Port()) || !h.sock.IsNonblock() {
		return false
	}
	sock, err := i.listenAt(h.target)
	if err != nil {
		return false
	}
	i.early[h.target] = &earlyListener{sock}
	return true
}

// queueEarly lets the client into the backlog of an early listener. upall connects
// the socket itself, as in releaseKept: the client must be in before the listener
// is handed over.
func (i *Interceptor) queueEarly(h *hold) {
	h.way = event.Early
	h.noteCookie()
	if int(h.call.Nr) == unix.SYS_CONNECT {
		i.connectFor(h, i.actual(h))
	} else {
		i.perform(h) // it sends data too
	}
	i.discardOf(h)
}

// endEarly resets the client's connection where it must not go on. It lies in a
// backlog, behind others, so that is done at the client's end.
func (i *Interceptor) endEarly(h *hold, end event.End) {
	if end != event.Refused && end != event.Expired {
		return
	}
	if sock := h.again(); sock != nil {
		i.logIf("reset a connection", sock.Reset())
		i.discard(sock)
	}
}

func (h *hold) noteCookie() {
	if cookie, err := h.sock.Cookie(); err == nil {
		h.cookie = cookie
	}
}

// again duplicates the client's socket anew, nil when the client has closed it.
func (h *hold) again() *linux.Socket {
	return dupCookie(int(h.call.PID), int(int32(h.call.Args[0])), h.cookie, h.source.threadFDs)
}

// dupCookie duplicates a descriptor of a thread if it is the socket of the cookie.
func dupCookie(tid, fd int, cookie uint64, threadFDs bool) *linux.Socket {
	dup, err := linux.DupFD(tid, fd, threadFDs)
	if err != nil {
		return nil
	}
	sock, err := linux.NewSocket(dup)
	if err != nil {
		return nil // closed there
	}
	if is, err := sock.Cookie(); err != nil || is != cookie {
		_ = sock.Close() // it was only looked at
		return nil
	}
	return sock
}

// goneEarly returns holds in early listeners whose clients have closed their
// sockets.
func (i *Interceptor) goneEarly() (gone []uint64) {
	checks := maxEarlyChecks
	for id, h := range i.holds { // in random order
		if h.way != event.Early || h.source == nil {
			continue
		}
		if sock := h.again(); sock != nil {
			i.discard(sock)
		} else {
			gone = append(gone, id)
		}
		if checks--; checks == 0 {
			break
		}
	}
	return gone
}

// taker has got an early listener for its socket.
type taker struct {
	pid, fd int
	cookie  uint64 // of the early listener
}

// listenAsPromised performs the call for a socket whose bind was only promised.
// The first such one becomes the early listener. Processes that share that
// socket, as workers do, get the same; others bind now.
func (s *source) listenAsPromised(n *seccomp.Notification, sock *linux.Socket) bool {
	cookie, err := sock.Cookie()
	at, promised := s.bound[cookie]
	if err != nil || !promised {
		return false
	}
	if s.early[at] != nil {
		s.takeOver(n, sock, cookie, at)
		return true
	}
	for _, t := range s.takers[cookie] {
		listener := dupCookie(t.pid, t.fd, t.cookie, s.threadFDs)
		if listener == nil {
			continue
		}
		if s.replace(n, listener, cookie) {
			s.reply(n.ID, 0)
		}
		s.discard(listener)
		return true
	}
	delete(s.bound, cookie)
	if errno := s.bindNow(sock, at); errno != 0 {
		s.reply(n.ID, errno)
		return true
	}
	return false
}

// takeOver puts the early listener, with its backlog full of clients, in the
// place of the instance's own socket.
func (s *source) takeOver(n *seccomp.Notification, sock *linux.Socket, cookie uint64, at netip.AddrPort) {
	early := s.early[at].sock
	s.logIf("copy socket options", early.CopyOptions(sock))
	if !s.replace(n, early, cookie) {
		s.logIf("keep an early listener", early.SetNonblock(true))
		return
	}
	s.reply(n.ID, 0)
	if isV6Only(sock) {
		s.places[at] = true
	}
	delete(s.early, at)
	s.discard(early)
	s.listens(n, at, false)
	s.step(registry.Take{At: at, Max: math.MaxInt}) // they are connected already
}

// replace gives the caller the listener for the socket that it listens on. If
// that fails the call is answered. The listener keeps its own backlog, the
// largest there is, for a smaller one could be full already, of clients who came
// early, and those who come now would be lost.
func (s *source) replace(n *seccomp.Notification, listener *linux.Socket, cookie uint64) bool {
	fd := int(int32(n.Args[0]))
	err := s.fd.ReplaceFD(n.ID, listener.FD, fd, linux.IsCloseOnExec(int(n.PID), fd))
	if errors.Is(err, seccomp.ErrGone) {
		return false
	}
	if err != nil {
		s.log.Warn("hand an early listener over", "instance", s.instance.Name, "error", err)
		s.reply(n.ID, linux.Errno(err, unix.EINVAL))
		return false
	}
	pid, err := linux.ThreadGroup(int(n.PID))
	is, cookieErr := listener.Cookie()
	if err == nil && cookieErr == nil {
		s.takers[cookie] = append(s.takers[cookie], taker{pid, fd, is})
	}
	return true
}
