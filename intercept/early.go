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

// openEarly opens the early listeners of an instance that is about to start. Who
// is connected by one cannot wait for health.
func (i *Interceptor) openEarly(n *instance) {
	if i.disabled.Has(linux.EarlyListen) || n.HasHealth {
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
		i.keepEarly(at, sock)
	}
}

// keepEarly notes an early listener, which survives this process.
func (i *Interceptor) keepEarly(at netip.AddrPort, sock *linux.Socket) {
	i.put(earlyName(at), nil, sock.Int())
	i.early[at] = &earlyListener{sock}
}

// dropEarly closes an early listener. Those in its backlog are reset.
func (i *Interceptor) dropEarly(at netip.AddrPort) {
	i.discard(i.early[at].sock)
	delete(i.early, at)
	i.drop(earlyName(at))
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
	for at := range i.early {
		if slices.Contains(n.Addrs, at.Addr()) {
			i.dropEarly(at)
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
	if i.disabled.Has(linux.EarlyListen) || n.HasHealth || n.OnDemand == nil || !n.OnDemand(h.target.Port()) || !h.sock.IsNonblock() {
		return false
	}
	sock, err := i.listenAt(h.target)
	if err != nil {
		return false
	}
	i.keepEarly(h.target, sock)
	return true
}

// queueEarly lets the client into the backlog of an early listener. upall connects
// the socket itself, as in releaseKept: the client must be in before the listener
// is handed over.
func (i *Interceptor) queueEarly(h *hold) {
	h.setWay(event.Early)
	h.noteProcess()
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

// noteProcess remembers the client's process: its socket is looked for after the
// call, when the thread may have ended.
func (h *hold) noteProcess() {
	var err error
	if h.tgid, err = linux.ThreadGroup(int(h.call.PID)); err == nil && h.record != nil {
		h.record.tgid = uint32(h.tgid) //nolint:gosec // a process ID
	}
}

// again duplicates the client's socket anew, nil when the client has closed it.
func (h *hold) again() *linux.Socket {
	fd := int(int32(h.call.Args[0]))
	if sock := dupCookie(int(h.call.PID), fd, h.cookie, h.source.threadFDs); sock != nil || h.tgid == 0 {
		return sock
	}
	return dupCookie(h.tgid, fd, h.cookie, h.source.threadFDs)
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
	Of     uint64 `json:"of"` // cookie of its own
	PID    int    `json:"pid"`
	FD     int    `json:"fd"`
	Cookie uint64 `json:"cookie"` // of the early listener
}

// listenAsPromised performs the call for a socket whose bind was only promised.
// The first such one becomes the early listener. Processes that share that
// socket, as workers do, get the same; others bind now.
func (s *source) listenAsPromised(n *seccomp.Notification, sock *linux.Socket) bool {
	cookie, err := sock.Cookie()
	if at, is := s.earlyOf(cookie); is && s.redo != nil {
		s.tookOver(n, sock, at) // an earlier process has replaced it
		return true
	}
	at, promised := s.bound[cookie]
	if err != nil || !promised {
		return false
	}
	if s.early[at] != nil {
		s.takeOver(n, sock, cookie, at)
		return true
	}
	for _, t := range s.takers[cookie] {
		listener := dupCookie(t.PID, t.FD, t.Cookie, s.threadFDs)
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
	if s.isV6Only(sock) {
		s.places[at] = true
	}
	s.tookOver(n, early, at)
}

// tookOver answers the call of a program that has the early listener now.
func (s *source) tookOver(n *seccomp.Notification, listener *linux.Socket, at netip.AddrPort) {
	told := s.noteListener(n, listener, at, false)
	s.reply(n.ID, 0)
	s.dropEarly(at)
	s.listens(s.instance, told)
	s.step(registry.Take{At: at, Max: math.MaxInt}) // they are connected already
}

// earlyOf tells which early listener the socket is.
func (i *Interceptor) earlyOf(cookie uint64) (at netip.AddrPort, is bool) {
	for at, e := range i.early {
		if own, err := e.sock.Cookie(); err == nil && own == cookie {
			return at, true
		}
	}
	return netip.AddrPort{}, false
}

// replace gives the caller the listener for the socket that it listens on. If
// that fails the call is answered. The listener keeps its own backlog, the
// largest there is, for a smaller one could be full already, of clients who came
// early, and those who come now would be lost.
func (s *source) replace(n *seccomp.Notification, listener *linux.Socket, cookie uint64) bool {
	fd := int(int32(n.Args[0]))
	s.noteTaker(n, listener, cookie, fd)
	err := s.fd.ReplaceFD(n.ID, listener.FD, fd, linux.IsCloseOnExec(int(n.PID), fd))
	if errors.Is(err, seccomp.ErrGone) {
		return false
	}
	if err != nil {
		s.log.Warn("hand an early listener over", "instance", s.instance.Name, "error", err)
		s.reply(n.ID, linux.Errno(err, unix.EINVAL))
		return false
	}
	return true
}

// noteTaker is before the listener is taken: who does not have it is passed over.
func (s *source) noteTaker(n *seccomp.Notification, listener *linux.Socket, cookie uint64, fd int) {
	pid, err := linux.ThreadGroup(int(n.PID))
	is, cookieErr := listener.Cookie()
	t := taker{cookie, pid, fd, is}
	if err == nil && cookieErr == nil && !slices.Contains(s.takers[cookie], t) {
		s.takers[cookie] = append(s.takers[cookie], t)
		s.record(s.instance)
	}
}
