package intercept

import (
	"encoding/json"
	"errors"
	"net/netip"
	"strconv"
	"time"

	"upall/intercept/park"
	"upall/intercept/registry"
	"upall/intercept/sockdiag"
	"upall/internal/linux"
)

// space is a network namespace in which connects are parked, and what upall has
// open in it. That must not keep a container's namespace alive, so it is closed
// with the last source there.
type space struct {
	id       linux.NetNSID
	ns       *linux.NetNS  // nil: upall's own, which stays
	sources  int           // in it
	opening  chan struct{} // closed when parker and parkErr are valid; nil before start
	parker   *park.Parker
	parkErr  error
	isClosed bool
	entry    string // of the parker

	diag      *sockdiag.Conn
	undecided []uint64                     // holds that came before it was known whether they can be parked
	tooEarly  []park.Packet                // SYNs that did
	refusals  []park.Packet                // and answers to such
	awaiting  map[netip.AddrPort][]awaited // by where the SYN will go: marked, it has not come yet
	parked    map[ends]*hold               // the SYN is in the queue
	refused   map[ends]time.Time           // whose connects were refused, and when
}

func newSpace(id linux.NetNSID, ns *linux.NetNS) *space {
	return &space{id: id, ns: ns, awaiting: map[netip.AddrPort][]awaited{}, parked: map[ends]*hold{}, refused: map[ends]time.Time{}}
}

// fd is the namespace as park and sockdiag take it.
func (s *space) fd() int {
	if s.ns == nil {
		return 0
	}
	return s.ns.Int()
}

// netNSOf opens the network namespace of a process that a source is of, nil for
// upall's own and where it cannot be told.
func (i *Interceptor) netNSOf(pid int) (*linux.NetNS, linux.NetNSID) {
	if pid <= 0 {
		return nil, i.ownNetNS
	}
	ns, err := linux.OpenNetNS(pid)
	if err != nil {
		i.log.Debug("open the network namespace of an instance", "error", err)
		return nil, i.ownNetNS
	}
	id, err := ns.ID()
	if err != nil || id == i.ownNetNS {
		i.closeNS(ns)
		return nil, i.ownNetNS
	}
	return ns, id
}

// enter finds the space of a new source. It owns ns from now on.
func (i *Interceptor) enter(ns *linux.NetNS, id linux.NetNSID) *space {
	s := i.spaces[id]
	if s == nil {
		s = newSpace(id, ns)
		i.spaces[id] = s
	} else {
		i.closeNS(ns)
	}
	s.sources++
	return s
}

// closeNS closes a namespace that no space is made of.
func (i *Interceptor) closeNS(ns *linux.NetNS) {
	if ns != nil {
		i.logIf("close a network namespace", ns.Close())
	}
}

// leave closes the space with its last source. To remove the rules takes the
// kernel some 25 ms, so it goes on beside the loop.
func (i *Interceptor) leave(s *space) {
	if s.sources--; s.sources > 0 || s.ns == nil {
		return
	}
	for id, h := range i.holds {
		if h.source != nil && h.source.space == s {
			i.step(registry.Gone{ID: id})
		}
	}
	for _, n := range i.instances {
		if n.space == s {
			n.space = nil
		}
	}
	i.release(s)
	i.meter.Leave(s.id)
	i.work.Go(func() { i.closeSpace(s) })
}

// start makes the queue and its rules. It goes on beside the loop, for the kernel
// takes some 30 ms, in which no call could be answered. It is done at the first
// hand-over and not at the first hold: it costs half a millisecond of CPU time,
// twenty at once take no longer than one, and the first hold need not wait.
func (i *Interceptor) start(s *space) {
	if s.opening != nil || i.disabled.Has(linux.Park) {
		return
	}
	s.opening = make(chan struct{})
	s.entry = parkEntry + strconv.FormatUint(i.nextNumber(), 10)
	i.work.Go(func() {
		s.parker, s.parkErr = park.Open(i.parkOptions(s))
		if s.parkErr != nil {
			i.log.Info("connects cannot be parked", "reason", s.parkErr)
		} else {
			i.keepParker(s)
		}
		close(s.opening)
		i.post(func() { i.opened(s) })
	})
}

func (i *Interceptor) parkOptions(s *space) park.Options {
	options := park.Options{
		NetNS:              s.fd(),
		Logger:             i.log,
		Handle:             i.handler(s, i.arrived),
		DisableNativeQueue: i.disabled.Has(linux.NativeQueue),
		DisableOwner:       i.disabled.Has(linux.TableOwner),
	}
	if s.ns != nil {
		options.HandleRefusal = i.handler(s, i.refused)
	}
	return options
}

// keepParker has what is parked survive this process.
func (i *Interceptor) keepParker(s *space) {
	if i.keeper == nil {
		return
	}
	data, fds := s.parker.Descriptors()
	data, err := json.Marshal(parkData{s.id, data})
	i.logIf("describe a parker", err)
	i.put(s.entry, data, fds...)
}

// handler has the loop take a packet.
func (i *Interceptor) handler(s *space, take func(*space, park.Packet)) func(park.Packet) {
	return func(p park.Packet) {
		select {
		case i.inputs <- func() { take(s, p) }:
		case <-i.quit:
		}
	}
}

// isOpen tells whether parker and parkErr are valid.
func (s *space) isOpen() bool {
	select {
	case <-s.opening: // never, if nil
		return true
	default:
		return false
	}
}

// opened goes on with what came before it was known whether connects can be
// parked.
func (i *Interceptor) opened(s *space) {
	undecided, tooEarly, refusals := s.undecided, s.tooEarly, s.refusals
	s.undecided, s.tooEarly, s.refusals = nil, nil, nil
	for _, id := range undecided {
		if h := i.holds[id]; h != nil {
			i.decide(id, h)
		}
	}
	for _, p := range tooEarly {
		i.arrived(s, p)
	}
	for _, p := range refusals {
		i.refused(s, p)
	}
}

// release gives up all but what close does.
func (i *Interceptor) release(s *space) {
	s.isClosed = true
	delete(i.spaces, s.id)
	for of := range i.late {
		if of.space == s {
			delete(i.late, of)
		}
	}
	for _, as := range s.awaiting {
		for _, a := range as {
			i.discardOf(a.h)
		}
	}
	if s.diag != nil {
		i.logIf("close a sock_diag socket", s.diag.Close())
	}
}

// closeSpace gives the duplicates up first, as the Parker wants it.
func (i *Interceptor) closeSpace(s *space) {
	if s.opening != nil {
		<-s.opening
		i.drop(s.entry)
	}
	i.logIf("close a space", s.close())
}

// close removes the rules, accepting what still waits.
func (s *space) close() error {
	var errs []error
	if s.opening != nil {
		<-s.opening
	}
	if s.parker != nil {
		errs = append(errs, s.parker.Close())
	}
	if s.ns != nil {
		errs = append(errs, s.ns.Close())
	}
	return errors.Join(errs...)
}

func (s *space) dial() (*sockdiag.Conn, error) {
	if s.diag == nil {
		diag, err := sockdiag.Dial(s.fd())
		if err != nil {
			return nil, err
		}
		s.diag = diag
	}
	return s.diag, nil
}

// acceptQueue looks at the listener that a connect to the address would reach.
func (s *space) acceptQueue(listener netip.AddrPort) (length, limit int, err error) {
	diag, err := s.dial()
	if err != nil {
		return 0, 0, err
	}
	return diag.AcceptQueue(listener)
}
