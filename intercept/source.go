package intercept

import (
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
	number   uint64 // of its entry, 0: it has none
	info     notifyData
	seen     map[netip.AddrPort]*tally     // its connects that pass, see connects
	outside  int                           // how many of them are to what is not of the project
	isMain   bool                          // of the instance's program, not of what joins it
	local    map[uint16]bool               // ports of the loopback that it has connected to
	cookies  *linux.Cookies                // of what shares its addresses
	redo     map[uint64]*record            // nil but while calls of an earlier process are decided on: their records
	sockaddr [linux.SizeofSockaddrIn6]byte // of the caller
}

func (i *Interceptor) newSource(n *instance, sp *space, fd *seccomp.NotifyFD) *source {
	s := &source{
		Interceptor: i, instance: n, space: sp, fd: fd, seen: map[netip.AddrPort]*tally{}, local: map[uint16]bool{},
		tid: make(chan int, 1), stop: make(chan struct{}), ended: make(chan struct{}),
		cookies: linux.NewCookies(i.threadFDs),
	}
	i.count(s)
	s.rate.enabled = !i.disabled.Has(linux.SyncWakeUp)
	return s
}

// openSource has a new source receive.
func (i *Interceptor) openSource(s *source) {
	i.sources[s] = struct{}{}
	s.instance.space = s.space
	if !s.instance.NoHold {
		i.start(s.space)
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
	i.logIf("forget a thread", s.cookies.Close())
	i.takeTallies(s)
	if s.number != 0 {
		i.drop(s.entry())
	}
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
	if found.passes && (s.redo == nil || s.redo[n.ID] == nil) {
		s.connects(n, found)
		s.claim(n, target, found)
		s.proceed(n.ID)
		return
	}
	s.ask(*n, target, family, found)
}

// ask has the loop decide on a connect. It is apart from handle so that the copy
// of the call is made only here: the fast path allocates nothing.
func (s *source) ask(call seccomp.Notification, target netip.AddrPort, family int, found route) {
	begun := s.redo[call.ID] != nil // by an earlier process
	sock := s.socket(&call, func(sock *linux.Socket) bool {
		return sock.IsTCP() && sock.Family == family && (begun || sock.IsUnconnected())
	})
	if sock == nil {
		return
	}
	s.claimHeld(sock, target, found)
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
	guarded := func() {
		defer func() {
			if p := recover(); p != nil {
				s.log.Error("a decision failed", "instance", s.instance.Name, "panic", p)
				s.proceed(id)
				s.tell(event.Event{Type: event.Warning, Instance: s.instance.Name, Message: "upall failed to decide on a call, which went on as without it"})
			}
		}()
		f()
	}
	s.inLoop(guarded)
}

// inLoop has the loop run f. While calls of an earlier process are decided on, that is
// where this is already: it must not wait for itself, as it would to post f where much
// has come meanwhile.
func (s *source) inLoop(f func()) {
	if s.redo != nil {
		f()
		return
	}
	s.post(f)
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

// connect asks the registry. asked is the address that the client gave, found what
// it means.
func (s *source) connect(n *seccomp.Notification, sock *linux.Socket, asked netip.AddrPort, found route) {
	if !s.fd.IsValid(n.ID) {
		s.discard(sock) // interrupted while it waited for the loop, or the source is closed
		return
	}
	s.replaceKept(n.PID)
	before := s.redo[n.ID]
	if before == nil && s.isForeign(asked, found) {
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
	if before != nil {
		delete(s.redo, n.ID)
		s.connectAgain(h, before)
		return
	}
	id := s.nextID()
	s.holds[id] = h
	s.step(registry.Connect{ID: id, Client: s.instance.Name, Target: h.target})
}

// nextID is of a connect, unique over the lives of the process.
func (i *Interceptor) nextID() uint64 {
	i.lastID++
	i.records.noteID(i.lastID)
	return i.lastID
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
