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
	tgid       int           // Early: of the client
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
	record     *record
	redo       bool // it began in an earlier process, and its call waits: what holds it is to be done again
	redone     bool // redo was true
	restored   bool // it began in an earlier process, and is held already

	src      netip.AddrPort
	syn      ends
	packet   uint32
	arrived  bool      // the SYN is in the queue
	overtake event.End // how it ended before its SYN arrived
}

// pass lets a connect go on that was never held.
func (i *Interceptor) pass(id uint64) {
	h := i.holds[id]
	if h.redo || h.restored {
		i.endHold(id, event.Released, i.serviceAt(h.target.Addr())+" listens", time.Since(h.began))
		return
	}
	delete(i.holds, id)
	i.countOne(h)
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
	i.retire(h)
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
	h.server, h.cause = o.Server, o.Cause
	switch {
	case h.restored:
		i.tellHold(o.ID, h)
		return
	case h.redo:
		h.redo = false
	default:
		h.began, h.untold = time.Now(), true
		h.record = i.records.take(h.content(o.ID, 0))
	}
	i.place(o.ID, h)
}

// content is what is written down of a hold.
func (h *hold) content(id uint64, flags uint32) record {
	r := record{
		id: id, call: h.call.ID, pid: h.call.PID, fd: int32(h.call.Args[0]), nr: h.call.Nr, flags: flags, //nolint:gosec // as the kernel takes it
		began: h.began.UnixNano(), asked: placeOf(h.asked), target: placeOf(h.target), to: placeOf(h.to),
	}
	if h.began.IsZero() {
		r.began = time.Now().UnixNano()
	}
	if h.source != nil {
		r.notify = h.source.number
		r.setClient(h.source.instance.Name)
	}
	if h.sock != nil && h.cookie == 0 {
		h.cookie, _ = h.sock.Cookie() // 0 is none
	}
	r.cookie = h.cookie
	return r
}

// retire frees the record of a hold that has ended, as soon as its call is answered.
func (i *Interceptor) retire(h *hold) {
	switch r := h.record; {
	case r.has(performing):
		i.waning = append(i.waning, r)
	default:
		i.records.drop(r)
	}
	h.record = nil
}

func (h *hold) setWay(way event.Way) {
	h.way = way
	h.record.setWay(way)
}

func (i *Interceptor) place(id uint64, h *hold) {
	switch {
	case h.source == nil:
		h.setWay(event.Early)
	case i.early[h.target] != nil && !h.source.instance.gated.Load():
		i.queueEarly(h)
	case !i.disabled.Has(linux.Park) && !h.source.space.isOpen():
		i.start(h.source.space) // no container's if it is never held
		h.source.space.undecided = append(h.source.space.undecided, id)
		h.way = event.Kept
		i.kept[h.call.PID] = id
		return
	case i.isParkable(h):
		h.setWay(event.Parked)
		h.source.space.awaitSYN(id, h, i.actual(h))
		i.perform(h)
	case !h.source.instance.gated.Load() && i.listensFor(h):
		i.queueEarly(h)
	default:
		h.setWay(event.Kept)
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
	h.record.set(beganTold)
}

func (i *Interceptor) holdEvent(t event.Type, id uint64, h *hold, cause string) event.Event {
	e := event.Event{Type: t, Hold: id, Instance: hostName, Service: hostName, Port: h.target.Port(), Way: h.way, Cause: cause}
	if h.source != nil {
		e.Instance, e.Service = h.source.instance.Name, h.source.instance.Service
	} else if h.record != nil && h.record.clientLength > 0 { // of an earlier process
		e.Instance, e.Service = h.record.clientName(), ""
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

// endHold ends a hold, or refuses a connect that was not held.
func (i *Interceptor) endHold(id uint64, end event.End, cause string, elapsed time.Duration) {
	h := i.holds[id]
	if h == nil {
		return // ended by shutDown, which the registry was not told of
	}
	if h.redo {
		h.redo = false
		i.place(id, h)
	}
	delete(i.holds, id)
	h.record.setEnd(end, cause)
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
	if end == event.Released {
		i.tellRelease(h)
	}
	i.tellEnd(id, h, end, cause, elapsed)
	i.retire(h)
	if h.source != nil {
		i.changed(h.source.instance) // it was held until now
	}
}

// tellEnd tells of the end before it is written down that it was told: rather twice
// than never. A hold's ID tells whoever listens.
func (i *Interceptor) tellEnd(id uint64, h *hold, end event.End, cause string, elapsed time.Duration) {
	if h.record.has(endTold) {
		return
	}
	e := i.holdEvent(event.HoldEnded, id, h, cause)
	e.End, e.Elapsed = end, elapsed
	if n := i.serverAt(h.target); n != nil && end == event.Released {
		e.Target = n.Service // of those that share an address, who serves it
	}
	if e.Target == "" {
		e.Target = i.serviceAt(h.target.Addr())
	}
	i.tell(e)
	h.record.set(endTold)
}

func (i *Interceptor) serviceAt(addr netip.Addr) string {
	if n := i.instanceAt(addr); n != nil {
		return n.Service
	}
	return addr.String()
}

func endError(end event.End, cause string) error {
	if end == event.Released {
		return nil
	}
	return errors.New(cause)
}
