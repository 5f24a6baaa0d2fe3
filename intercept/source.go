package intercept

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"upall/intercept/registry"
	"upall/intercept/seccomp"
	"upall/internal/event"
	"upall/internal/linux"
)

// source receives the notifications of one notifyFD.
type source struct {
	*Interceptor
	instance *instance
	space    *space
	fd       *seccomp.NotifyFD
	tid      chan int       // its thread, once
	stop     chan struct{}  // closed when it is to end
	ended    chan struct{}  // closed when it has
	waits    sync.WaitGroup // connects that upall waits for
	rate     rate
	sockaddr [linux.SizeofSockaddrIn6]byte // of the caller
}

func (i *Interceptor) openSource(n *instance, sp *space, fd *seccomp.NotifyFD) {
	s := &source{
		Interceptor: i, instance: n, space: sp, fd: fd,
		tid: make(chan int, 1), stop: make(chan struct{}), ended: make(chan struct{}),
	}
	s.rate.enabled = !i.disabled.Has(linux.SyncWakeUp)
	i.sources[s] = struct{}{}
	n.space = sp
	if !n.NoHold {
		i.start(sp)
	}
	go s.receive()
}

// closeSource ends the source's goroutine and closes its notifyFD.
func (i *Interceptor) closeSource(s *source) {
	delete(i.sources, s)
	close(s.stop)
	tid := <-s.tid
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for running := true; running; {
		_ = seccomp.Interrupt(tid) // it fails when the thread has ended
		select {
		case f := <-i.inputs:
			f() // the source may be about to hand something over
		case <-again.C:
		case <-s.ended:
			running = false
		}
	}
	s.waits.Wait()
	i.logIf("close a source", s.fd.Close())
	i.leave(s.space)
}

// closeDone closes the sources that have no task left, such as those of ended
// sessions in a container.
func (i *Interceptor) closeDone() {
	for s := range i.sources {
		if s.fd.IsDone() {
			i.lapse(s.instance)
			i.closeSource(s)
		}
	}
}

// receive serves notifications until the source is stopped or of no more use.
// On a thread of its own it is woken sooner. The thread ends with it, lest an
// interrupt that comes late hits somebody else's call.
func (s *source) receive() {
	defer close(s.ended)
	runtime.LockOSThread() // for good
	s.tid <- unix.Gettid()
	var n seccomp.Notification
	for !s.isStopped() {
		switch err := s.fd.Receive(&n); {
		case err == nil:
			s.rate.count(s.fd, n.PID, time.Now)
			s.handle(&n)
		case errors.Is(err, seccomp.ErrInterrupted):
		case errors.Is(err, seccomp.ErrGone):
			if s.fd.IsDone() {
				select {
				case s.sourceDone <- struct{}{}:
				default: // the loop is to look already
				}
				return
			}
		default:
			s.log.Error("receive notifications", "instance", s.instance.Name, "error", err)
			return
		}
	}
}

// handle decides what needs no registry and hands the rest to the loop.
func (s *source) handle(n *seccomp.Notification) {
	var addr, length uint64
	switch int(n.Nr) {
	case unix.SYS_CONNECT:
		addr, length = n.Args[1], n.Args[2]
	case unix.SYS_SENDTO: // with MSG_FASTOPEN
		addr, length = n.Args[4], n.Args[5]
	case unix.SYS_SENDMSG: // with MSG_FASTOPEN
		addr, length = s.messageName(n)
	case unix.SYS_LISTEN:
		call := *n
		s.handOver(call.ID, func() { s.listen(&call) })
		return
	case unix.SYS_BIND:
		addr, length = n.Args[1], n.Args[2]
	default:
		s.proceed(n.ID)
		return
	}
	target, family, ok := s.readAddr(n, addr, length)
	if !ok {
		s.proceed(n.ID)
		return
	}
	if int(n.Nr) == unix.SYS_BIND {
		call := *n
		s.handOver(call.ID, func() { s.bind(&call, target, family) })
		return
	}
	found := s.routes.Load().find(s.instance, target)
	if found.passes {
		s.proceed(n.ID)
		return
	}
	s.ask(*n, target, family, found)
}

// ask has the loop decide on a connect. It is apart from handle so that the copy
// of the call is made only here: the fast path allocates nothing.
func (s *source) ask(call seccomp.Notification, target netip.AddrPort, family int, found route) {
	sock := s.socket(&call, func(sock *linux.Socket) bool {
		return sock.IsTCP() && sock.Family == family && sock.IsUnconnected()
	})
	if sock == nil {
		return
	}
	s.handOver(call.ID, func() { s.connect(&call, sock, target, found) })
}

// proceed lets the call go on as without upall.
func (s *source) proceed(id uint64) {
	if err := s.fd.Continue(id); err != nil && !errors.Is(err, seccomp.ErrGone) {
		s.log.Error("continue a call", "instance", s.instance.Name, "error", err)
	}
}

// reply ends the call with errno, 0 for success.
func (s *source) reply(id uint64, errno unix.Errno) {
	if err := s.fd.Return(id, errno); err != nil && !errors.Is(err, seccomp.ErrGone) {
		s.log.Error("answer a call", "instance", s.instance.Name, "error", err)
	}
}

// handOver runs f in the loop. If our own code fails there, the call goes on
// as without upall: an application must not break for it.
func (s *source) handOver(id uint64, f func()) {
	s.post(func() {
		defer func() {
			if p := recover(); p != nil {
				s.log.Error("a decision failed", "instance", s.instance.Name, "panic", p)
				s.proceed(id)
				s.tell(event.Event{Type: event.Warning, Instance: s.instance.Name, Message: "upall failed to decide on a call, which went on as without it"})
			}
		}()
		f()
	})
}

// socket duplicates the descriptor in the call's first argument. If it is no
// socket of the kind, or out of reach, the call is let go on and nil returned.
func (s *source) socket(n *seccomp.Notification, is func(*linux.Socket) bool) *linux.Socket {
	fd, err := linux.DupFD(int(n.PID), int(int32(n.Args[0])), s.threadFDs)
	if err != nil {
		s.proceed(n.ID)
		return nil
	}
	sock, err := linux.NewSocket(fd)
	if err != nil {
		s.proceed(n.ID)
		return nil
	}
	if !is(sock) || !s.fd.IsValid(n.ID) {
		s.discard(sock)
		s.proceed(n.ID)
		return nil
	}
	return sock
}

func (i *Interceptor) discard(sock *linux.Socket) {
	if sock == nil {
		return
	}
	if err := sock.Close(); err != nil {
		i.log.Warn("close a socket", "error", err)
	}
}

// readAddr reads the IPv4 or IPv6 address that a call of the client is given,
// not IPv4-mapped, and its family. ok is false for other families, for
// unreadable memory, and for lengths that the kernel refuses.
func (s *source) readAddr(n *seccomp.Notification, addr, length uint64) (at netip.AddrPort, family int, ok bool) {
	size := int(int32(length)) // as the kernel takes it
	if size < linux.SizeofSockaddrIn || size > linux.SizeofSockaddrStorage || n.PID == 0 {
		return netip.AddrPort{}, 0, false
	}
	buf := s.sockaddr[:min(size, len(s.sockaddr))]
	read, err := linux.ReadMemory(int(n.PID), uintptr(addr), buf)
	if err != nil {
		return netip.AddrPort{}, 0, false
	}
	ap, f := linux.DecodeSockaddr(buf[:read])
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()), int(f), ap.IsValid()
}

// messageName returns where struct msghdr of sendmsg(2) has its address: a
// pointer and a length at its start.
func (s *source) messageName(n *seccomp.Notification) (addr, length uint64) {
	var head [12]byte
	if read, err := linux.ReadMemory(int(n.PID), uintptr(n.Args[1]), head[:]); err != nil || read < len(head) {
		return 0, 0
	}
	size := max(0, int32(binary.NativeEndian.Uint32(head[8:])))
	// Here the kernel cuts what is too long, instead of refusing it.
	return binary.NativeEndian.Uint64(head[:]), min(uint64(size), linux.SizeofSockaddrStorage)
}

// connect asks the registry. asked is the address that the client gave, found what
// it means.
func (s *source) connect(n *seccomp.Notification, sock *linux.Socket, asked netip.AddrPort, found route) {
	if !s.fd.IsValid(n.ID) {
		s.discard(sock) // interrupted while it waited for the loop, or the source is closed
		return
	}
	s.replaceKept(n.PID)
	if s.isForeign(asked, found) {
		s.discard(sock)
		s.proceed(n.ID)
		return
	}
	h := &hold{source: s, call: *n, sock: sock, asked: asked, target: found.target, to: found.to}
	if h.to.IsValid() {
		h.asked = h.to // the kernel takes them for the same
	}
	if int(n.Nr) != unix.SYS_CONNECT && s.actual(h) != h.asked {
		// Data cannot be sent elsewhere than asked. Programs connect plainly when
		// fast open is not to be had (tcp(7), net.ipv4.tcp_fastopen).
		s.reply(n.ID, unix.EOPNOTSUPP)
		s.discard(sock)
		return
	}
	s.lastID++
	s.holds[s.lastID] = h
	s.step(registry.Connect{ID: s.lastID, Client: s.instance.Name, Target: h.target})
}

// isForeign tells whether the connect stays in the client's network namespace and
// reaches a listener there of which nobody has told: it may be shared with
// programs that are not of the project, or with the host's.
func (s *source) isForeign(asked netip.AddrPort, found route) bool {
	isOwn := !s.instance.Rewrite && slices.Contains(s.instance.Addrs, asked.Addr())
	if (!found.isLocal && !isOwn) || s.registry.Listens(found.target) {
		return false
	}
	_, _, err := s.space.acceptQueue(specified(asked))
	return err == nil
}
