package intercept

import (
	"cmp"
	"context"
	"net/netip"
	"sync/atomic"
	"time"

	"upall/intercept/registry"
	"upall/intercept/serve"
	"upall/internal/event"
	"upall/internal/linux"
)

// loop is the state that only the goroutine run touches.
type loop struct {
	registry  *registry.Registry
	instances map[string]*instance
	tokens    map[string]*instance // by hand-over metadata
	sources   map[*source]struct{}
	warned    map[string]bool

	// Connects. A hold is here from its question to the registry until its end.
	holds   map[uint64]*hold
	lastID  uint64
	records *records                    // nil: holds end with this process
	waning  []*record                   // of holds that have ended, whose calls are being answered
	kept    map[uint32]uint64           // thread -> its kept hold
	drains  map[netip.AddrPort]struct{} // serve, and have waiters
	tallies map[*source][]*tally        // what counts connects that pass
	passed  []Connects                  // counted, and not asked for yet
	named   map[netip.AddrPort]string   // services, of endpoints that traffic goes to
	late    map[lateness][]uint32       // packets of SYNs that come after their release
	spaces  map[linux.NetNSID]*space    // of upall itself always, and of sources

	// Listeners, by where they are in the project's terms.
	early       map[netip.AddrPort]*earlyListener
	bound       map[uint64]netip.AddrPort // socket cookie -> where its bind was promised
	takers      map[uint64][]taker        // socket cookie -> who has the early listener instead
	cleared     map[uint64]*instance      // socket cookie -> whose socket had IPV6_V6ONLY, which upall has cleared
	places      map[netip.AddrPort]bool   // what instances have bound; whether for IPv6 alone
	remapped    map[netip.AddrPort]netip.AddrPort
	loopbacks   map[netip.AddrPort]netip.AddrPort // endpoint of a loopback -> where on it
	told        map[toldPort]bool                 // that it listens
	serveProbes map[*instance]serve.Probe
	udpBound    map[netip.AddrPort]bool
	udpWaiters  map[netip.AddrPort][]chan struct{}

	// What is to survive this process.
	left      *left // of the process before, until Resume
	lastEntry uint64
	stale     map[*instance]struct{} // their pages are to be written
}

// instance is an Instance and what goes on with it.
type instance struct {
	Instance
	view   atomic.Pointer[Instance] // the same, for sources
	gated  atomic.Bool              // its connects must ask the registry
	cancel func()                   // of its serve probes
	probes context.Context
	space  *space // of its newest source
	isOver bool   // ended for good, and not started since

	isRunning bool
	isAwaited bool // started, and its hand-over has not come
	listens   []listening
	programs  []string                    // that listened last
	connected map[netip.AddrPort]struct{} // told with Connected in this run
	diagnosed map[diagnosis]bool          // told in this run
	local     []local                     // of this run
}

type toldPort struct {
	of   *instance
	port uint16
}

func newLoop() loop {
	return loop{
		registry:    registry.New(),
		instances:   map[string]*instance{},
		tokens:      map[string]*instance{},
		sources:     map[*source]struct{}{},
		warned:      map[string]bool{},
		holds:       map[uint64]*hold{},
		kept:        map[uint32]uint64{},
		drains:      map[netip.AddrPort]struct{}{},
		early:       map[netip.AddrPort]*earlyListener{},
		bound:       map[uint64]netip.AddrPort{},
		takers:      map[uint64][]taker{},
		cleared:     map[uint64]*instance{},
		stale:       map[*instance]struct{}{},
		places:      map[netip.AddrPort]bool{},
		remapped:    map[netip.AddrPort]netip.AddrPort{},
		tallies:     map[*source][]*tally{},
		named:       map[netip.AddrPort]string{},
		late:        map[lateness][]uint32{},
		spaces:      map[linux.NetNSID]*space{},
		loopbacks:   map[netip.AddrPort]netip.AddrPort{},
		told:        map[toldPort]bool{},
		serveProbes: map[*instance]serve.Probe{},
		udpBound:    map[netip.AddrPort]bool{},
		udpWaiters:  map[netip.AddrPort][]chan struct{}{},
	}
}

// do runs f in the loop and waits for it; after Close it does nothing.
func (i *Interceptor) do(f func()) {
	ran := make(chan struct{})
	if !i.post(func() { f(); close(ran) }) {
		return
	}
	select {
	case <-ran:
	case <-i.done:
	}
}

// post has the loop run f.
func (i *Interceptor) post(f func()) bool {
	select {
	case i.inputs <- f:
		return true
	case <-i.done:
		return false
	}
}

const (
	paceInterval  = time.Millisecond       // between looks at an accept queue
	checkInterval = 500 * time.Millisecond // between looks for clients that went away
)

// run is the loop.
func (i *Interceptor) run() {
	defer close(i.done)
	defer i.shutDown()
	check := time.NewTicker(checkInterval)
	defer check.Stop()
	for {
		if len(i.inputs) == 0 {
			i.save()
		}
		var pace <-chan time.Time
		if len(i.drains) > 0 || len(i.late) > 0 {
			pace = time.After(paceInterval)
		}
		var due <-chan time.Time
		if at, ok := i.registry.Next(); ok {
			due = time.After(time.Until(at))
		}
		select {
		case f := <-i.inputs:
			f()
		case <-pace:
			i.drainAll()
		case <-due:
			i.step(registry.Tick{})
		case <-check.C:
			i.save()
			i.findGone()
			i.closeDone()
			i.diagnoseHolds()
			i.diagnoseLocals()
		case <-i.sourceDone:
			i.closeDone()
		case <-i.quit:
			return
		}
	}
}

// shutDown answers what waits and closes what is open.
func (i *Interceptor) shutDown() {
	for id := range i.holds {
		i.endHold(id, event.Refused, errClosed.Error(), time.Since(i.holds[id].began))
	}
	for s := range i.sources {
		i.closeSource(s)
	}
	i.runPosted()
	if i.left != nil {
		i.logIf("close what an earlier process has left", i.left.close())
	}
	for _, n := range i.instances {
		i.closeEarly(n)
		n.cancel()
	}
	for _, s := range i.spaces {
		i.release(s)
		i.closeSpace(s)
	}
}

// runPosted runs what is posted already: it may own descriptors.
func (i *Interceptor) runPosted() {
	for {
		select {
		case f := <-i.inputs:
			f()
		default:
			return
		}
	}
}

// step feeds the registry and carries its outputs out.
func (i *Interceptor) step(in registry.Input) {
	outputs := i.registry.Step(time.Now(), in)
	i.routeListeners(in)
	i.carryOutAll(outputs)
}

func (i *Interceptor) carryOutAll(outputs []registry.Output) {
	var changed []registry.Output
	drains := false
	for _, o := range outputs {
		switch o.(type) {
		case registry.Open, registry.Shut:
			changed = append(changed, o)
		case registry.Drain:
			drains = true
		}
		i.carryOut(o)
	}
	if len(changed) > 0 {
		i.updateRoutes(func(r *routes) { i.applyRoutes(r, changed) })
	}
	if drains {
		i.drainAll()
	}
}

func (i *Interceptor) carryOut(o registry.Output) {
	switch o := o.(type) {
	case registry.Pass:
		i.pass(o.ID)
	case registry.Hold:
		i.begin(o)
	case registry.Release:
		i.endHold(o.ID, event.Released, o.Cause, o.Elapsed)
	case registry.Refuse:
		i.deny(o.ID, event.Refused, o.Cause, o.Elapsed)
	case registry.Expire:
		i.deny(o.ID, event.Expired, o.Cause, o.Elapsed)
	case registry.Canceled:
		i.endHold(o.ID, event.Canceled, "the client went away", o.Elapsed)
	case registry.Probe:
		i.probe(o)
	case registry.Drain:
		i.drains[o.At] = struct{}{}
	case registry.Ready:
		i.changed(i.instances[o.Instance])
		i.tell(event.Event{Type: event.Serving, Instance: o.Instance, Elapsed: o.Elapsed})
	case registry.Settled:
		i.closeEarly(i.instances[o.Instance])
	case registry.Gate:
		if n := i.instances[o.Instance]; n != nil {
			n.gated.Store(!o.Open)
		}
	case registry.Warn:
		i.warnOf(o)
	case registry.Cycle:
		i.tell(event.Event{Type: event.CycleFound, Members: o.Members, Message: cycleMessage(o)})
	}
}

// tell emits an event; the instance's service and the time are filled in.
func (i *Interceptor) tell(e event.Event) {
	e.Time = cmp.Or(e.Time, time.Now())
	if n := i.instances[e.Instance]; n != nil && e.Service == "" {
		e.Service = n.Service
	}
	i.emit(e)
}

// warnOnce tells a warning that holds for the whole run.
func (i *Interceptor) warnOnce(service, message string) {
	if key := service + ": " + message; !i.warned[key] {
		i.warned[key] = true
		for _, n := range i.instances {
			if n.Service == service {
				i.changed(n)
			}
		}
		i.tell(event.Event{Type: event.Warning, Service: service, Message: message})
	}
}
