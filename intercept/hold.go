package intercept

import (
	"errors"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"upall/intercept/park"
	"upall/intercept/registry"
	"upall/intercept/seccomp"
	"upall/internal/event"
	"upall/internal/linux"
)

// hold is a connect from its question to the registry until its end. What is
// valid when:
//
//	asked:   source, call, sock
//	untold:  the same, the call is unanswered: it is not known yet whether it can be parked
//	Parked:  awaiting its SYN: sock, or src where upall connected it; then packet and syn
//	Early:   nothing more; the client waits in a backlog
//	Kept:    call
type hold struct {
	source     *source      // nil: the connect is upall's own, see Await
	result     chan<- error // of such a one
	call       seccomp.Notification
	cookie     uint64        // of the client's socket
	sock       *linux.Socket // nil once it is not needed any more
	isAnswered bool          // Kept: the call has had its response before the hold ends
	asked      netip.AddrPort
	target     netip.AddrPort
	to         netip.AddrPort // where it goes, if valid; else to where target is
	server     string
	way        event.Way
	began      time.Time
	cause      string // of the hold
	untold     bool   // its event is still to come

	src      netip.AddrPort
	syn      ends
	packet   uint32
	arrived  bool      // the SYN is in the queue
	overtake event.End // how it ended before its SYN arrived
}

// pass lets a connect go on that was never held.
func (i *Interceptor) pass(id uint64) {
	h := i.holds[id]
	delete(i.holds, id)
	switch {
	case h.source == nil:
		h.result <- nil
		return
	case i.early[h.target] != nil: // of a client that is never held; nobody listens there yet
		h.source.reply(h.call.ID, unix.ECONNREFUSED)
	default:
		i.perform(h)
	}
	i.discardOf(h)
}

// perform does the connect: the kernel does where the client's own address is
// right, else upall does on the duplicate.
func (i *Interceptor) perform(h *hold) {
	if actual := i.actual(h); actual != h.asked {
		i.connectFor(h, actual)
		return
	}
	h.source.proceed(h.call.ID)
}

// actual is where the connect goes.
func (i *Interceptor) actual(h *hold) netip.AddrPort {
	if h.to.IsValid() {
		return h.to
	}
	return i.real(h.target)
}

func (i *Interceptor) discardOf(h *hold) {
	i.discard(h.sock)
	h.sock = nil
}

// begin holds a connect in the best way that there is for it.
func (i *Interceptor) begin(o registry.Hold) {
	h := i.holds[o.ID]
	h.server, h.began, h.cause, h.untold = o.Server, time.Now(), o.Cause, true
	i.place(o.ID, h)
}

func (i *Interceptor) place(id uint64, h *hold) {
	switch {
	case h.source == nil:
		h.way = event.Early
	case i.early[h.target] != nil && !h.source.instance.gated.Load():
		i.queueEarly(h)
	case !i.disabled.Has(linux.Park) && !h.source.space.isOpen():
		i.start(h.source.space) // no container's if it is never held
		h.source.space.undecided = append(h.source.space.undecided, id)
		h.way = event.Kept
		i.kept[h.call.PID] = id
		return
	case i.isParkable(h):
		h.way = event.Parked
		h.source.space.awaitSYN(id, h, i.actual(h))
		i.perform(h)
	case !h.source.instance.gated.Load() && i.listensFor(h):
		i.queueEarly(h)
	default:
		h.way = event.Kept
		i.kept[h.call.PID] = id
		i.keep(id, h)
	}
	i.tellHold(id, h)
}

// decide goes on with a hold once it is known whether it can be parked.
func (i *Interceptor) decide(id uint64, h *hold) {
	if !h.source.fd.IsValid(h.call.ID) {
		i.step(registry.Gone{ID: id})
		return
	}
	delete(i.kept, h.call.PID)
	i.place(id, h)
}

func (i *Interceptor) tellHold(id uint64, h *hold) {
	if !h.untold {
		return
	}
	h.untold = false
	e := i.holdEvent(event.HoldBegan, id, h, h.cause)
	e.Time = h.began
	i.tell(e)
}

func (i *Interceptor) holdEvent(t event.Type, id uint64, h *hold, cause string) event.Event {
	e := event.Event{Type: t, Hold: id, Instance: hostName, Service: hostName, Port: h.target.Port(), Way: h.way, Cause: cause}
	if h.source != nil {
		e.Instance, e.Service = h.source.instance.Name, h.source.instance.Service
	}
	if n := i.instances[h.server]; n != nil {
		e.Target = n.Service
	}
	return e
}

// isParkable prepares the client's socket for its SYN to be parked.
func (i *Interceptor) isParkable(h *hold) bool {
	if i.disabled.Has(linux.Park) || h.source.space.parkErr != nil {
		return false
	}
	err := h.sock.Mark(park.DefaultMarkHold)
	if err == nil {
		err = h.sock.SetPatience()
	}
	if err != nil {
		i.log.Warn("park a connect", "instance", h.source.instance.Name, "error", err)
	}
	return err == nil
}

// keep leaves the call unanswered.
func (i *Interceptor) keep(id uint64, h *hold) {
	if timeout := h.sock.SendTimeout(); h.sock.IsNonblock() {
		i.warnOnce(h.source.instance.Service, "its non-blocking connects are held by blocking them, as nothing better works here (`upall doctor` says why)")
	} else if timeout > 0 {
		time.AfterFunc(timeout, func() {
			i.post(func() { i.sendTimeout(id) })
		})
	}
	i.discardOf(h)
}

// sendTimeout ends a kept call as the kernel does after SO_SNDTIMEO: the connect
// is said to go on (socket(7)).
func (i *Interceptor) sendTimeout(id uint64) {
	if h := i.holds[id]; h != nil {
		h.source.reply(h.call.ID, unix.EINPROGRESS)
		h.isAnswered = true
		i.step(registry.Gone{ID: id})
	}
}

// replaceKept ends the kept hold of a thread that calls anew: a signal had
// interrupted it.
func (i *Interceptor) replaceKept(tid uint32) {
	if id, ok := i.kept[tid]; ok {
		i.step(registry.Gone{ID: id})
	}
}

// endHold ends a hold, or refuses a connect that was not held.
func (i *Interceptor) endHold(id uint64, end event.End, cause string, elapsed time.Duration) {
	h := i.holds[id]
	if h == nil {
		return // ended by shutDown, which the registry was not told of
	}
	delete(i.holds, id)
	if h.way != "" {
		i.tellHold(id, h)
	}
	if h.way == event.Kept {
		delete(i.kept, h.call.PID)
	}
	switch {
	case h.source == nil:
		h.result <- endError(end, cause)
	case h.way == event.Parked:
		i.endParked(h, end)
	case h.way == event.Early:
		i.endEarly(h, end)
	case end == event.Released:
		i.releaseKept(h)
	case h.isAnswered:
		i.discardOf(h)
	default:
		h.source.reply(h.call.ID, unix.ECONNREFUSED)
		i.discardOf(h)
	}
	e := i.holdEvent(event.HoldEnded, id, h, cause)
	e.End, e.Elapsed = end, elapsed
	if e.Target == "" {
		e.Target = i.serviceAt(h.target.Addr())
	}
	i.tell(e)
}

func (i *Interceptor) serviceAt(addr netip.Addr) string {
	if n := i.instanceAt(addr); n != nil {
		return n.Service
	}
	return addr.String()
}

// releaseKept performs a call that was kept. upall connects the socket itself:
// a client that is told to continue comes when it is scheduled, so many could
// come at once and find the accept queue full.
func (i *Interceptor) releaseKept(h *hold) {
	i.discardOf(h) // of one that was not decided on yet
	s, actual := h.source, i.actual(h)
	if int(h.call.Nr) != unix.SYS_CONNECT && actual == h.asked {
		s.proceed(h.call.ID) // it sends data too
		return
	}
	if h.sock = s.socket(&h.call, (*linux.Socket).IsTCP); h.sock == nil {
		return // answered there
	}
	i.connectFor(h, actual)
	i.discardOf(h)
}

// answerKept ends every kept call of an instance.
func (i *Interceptor) answerKept(name string) {
	for id, h := range i.holds {
		if h.source != nil && h.source.instance.Name == name && h.way == event.Kept {
			h.source.reply(h.call.ID, unix.ECONNREFUSED)
			h.isAnswered = true
			i.step(registry.Gone{ID: id})
		}
	}
}

func endError(end event.End, cause string) error {
	if end == event.Released {
		return nil
	}
	return errors.New(cause)
}
