package intercept

import (
	"errors"
	"math"
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
	server     string
	way        event.Way
	began      time.Time

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
	if actual := i.real(h.target); actual != h.asked {
		i.connectFor(h, actual)
		return
	}
	h.source.proceed(h.call.ID)
}

func (i *Interceptor) discardOf(h *hold) {
	i.discard(h.sock)
	h.sock = nil
}

// begin holds a connect in the best way that there is for it.
func (i *Interceptor) begin(o registry.Hold) {
	h := i.holds[o.ID]
	h.server, h.began = o.Server, time.Now()
	switch {
	case h.source == nil:
		h.way = event.Early
	case i.early[h.target] != nil && !h.source.instance.gated.Load():
		i.queueEarly(h)
	case i.isParkable(h):
		h.way = event.Parked
		i.space.awaitSYN(o.ID, h)
		i.perform(h)
	case !h.source.instance.gated.Load() && i.listensFor(h):
		i.queueEarly(h)
	default:
		h.way = event.Kept
		i.kept[h.call.PID] = o.ID
		i.keep(o.ID, h)
	}
	i.tell(i.holdEvent(event.HoldBegan, o.ID, h, o.Cause))
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
	if i.disabled.Has(linux.Park) || !i.space.open(i) {
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
	s, actual := h.source, i.real(h.target)
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

// dropHoldsOf ends the holds of an instance whose processes have ended.
func (i *Interceptor) dropHoldsOf(n *instance) {
	for id, h := range i.holds {
		if h.source != nil && h.source.instance == n {
			i.step(registry.Gone{ID: id})
		}
	}
}

// maxKeptChecks bounds how many kept calls are looked at in a round: the kernel
// searches a list for each.
const maxKeptChecks = 1000

// findGone ends the holds whose clients went away: the kernel tells nobody.
func (i *Interceptor) findGone() {
	var gone []uint64
	checks := maxKeptChecks
	for _, id := range i.kept { // in random order
		if h := i.holds[id]; !h.source.fd.IsValid(h.call.ID) {
			gone = append(gone, id)
		}
		if checks--; checks == 0 {
			break
		}
	}
	gone = append(gone, i.space.forgetSockets(i)...)
	gone = append(gone, i.goneParked()...)
	gone = append(gone, i.goneEarly()...)
	for _, id := range gone {
		i.step(registry.Gone{ID: id})
	}
}

// drainAll releases waiters of every endpoint that serves, as many as its accept
// queue has room for.
func (i *Interceptor) drainAll() {
	for at := range i.space.late {
		i.acceptLate(at)
	}
	for at := range i.drains {
		room := i.space.room(i.real(at))
		before := len(i.holds)
		i.step(registry.Take{At: at, Max: room})
		if room > 0 && len(i.holds) == before {
			delete(i.drains, at)
		}
	}
}

// room tells how many waiters may be released at once to a listener whose
// accept queue has this length and limit. Half of the queue stays free, for a
// SYN that finds it full is retried after a second or more.
func room(length, limit int) int {
	if half := max(1, limit/2); half > length {
		return half - length
	}
	return 0
}

// noRoomKnown is for a listener whose queue cannot be looked at.
const noRoomKnown = math.MaxInt

func endError(end event.End, cause string) error {
	if end == event.Released {
		return nil
	}
	return errors.New(cause)
}
