package intercept

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"upall/intercept/registry"
	"upall/intercept/seccomp"
	"upall/intercept/serve"
	"upall/internal/event"
	"upall/internal/linux"
)

// Instance is what the interceptor must know of a process or container.
type Instance struct {
	registry.Instance
	// Rewrite gives the instance its first address for what it binds to a
	// wildcard or loopback address, and lets it reach that over localhost: for
	// instances that share a network namespace with each other.
	Rewrite bool
	// Second is where Rewrite puts an IPv6-only listener beside an IPv4 one.
	Second netip.Addr
	// UDPPorts are the declared UDP ports, rewritten too.
	UDPPorts []uint16
	// Early lists the TCP ports on which the interceptor may listen until the
	// instance does.
	Early []uint16
	// OnDemand tells whether it may do so on another port too, once a client is
	// held that could else be held by blocking it alone. Nil: on none.
	OnDemand func(port uint16) bool
}

// Options are for Open.
type Options struct {
	Socket   string // path for the hand-overs
	Emit     func(event.Event)
	Logger   *slog.Logger
	Disabled linux.Disabled
	// HoldTimeout bounds Await.
	HoldTimeout time.Duration
}

// Interceptor is the interceptor of one project. Make one with Open.
type Interceptor struct {
	emit      func(event.Event)
	log       *slog.Logger
	disabled  linux.Disabled
	threadFDs bool // PIDFD_THREAD
	agent     *seccomp.Agent
	routes    atomic.Pointer[routes]

	inputs chan func()   // to the loop; full: the sender waits, so a client does
	quit   chan struct{} // closed when the loop is to end
	done   chan struct{} // closed when it has
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup // probes and the connects that upall waits for
	closed sync.Once

	loop // owned by the goroutine run
}

// loop is the state that only the goroutine run touches.
type loop struct {
	registry  *registry.Registry
	instances map[string]*instance
	tokens    map[string]*instance // by hand-over metadata
	sources   map[*source]struct{}
	holds     map[uint64]*hold
	lastID    uint64
	space     space
	drains    map[netip.AddrPort]struct{}
	early     map[netip.AddrPort]*earlyListener
	bound     map[uint64]netip.AddrPort // socket cookie -> where its bind was promised
	takers    map[uint64][]taker        // socket cookie -> who has the early listener instead
	places    map[netip.AddrPort]bool   // what instances have bound; whether for IPv6 alone
	remapped  map[netip.AddrPort]netip.AddrPort
	kept      map[uint32]uint64       // thread -> its kept hold
	told      map[netip.AddrPort]bool // listening
	warned    map[string]bool

	serveProbes map[*instance]serve.Probe
	udpBound    map[netip.AddrPort]bool
	udpWaiters  map[netip.AddrPort][]chan struct{}
}

type instance struct {
	Instance
	gated  atomic.Bool // its connects must ask the registry
	cancel func()      // of its serve probes
	probes context.Context
}

// Open starts an Interceptor. ctx bounds its life.
func Open(ctx context.Context, o Options) (*Interceptor, error) {
	if err := linux.HasUserNotification(); err != nil {
		return nil, fmt.Errorf("seccomp user notification (Linux 5.9) is not usable here: %w", err)
	}
	i := &Interceptor{
		emit: o.Emit, log: o.Logger, disabled: o.Disabled,
		threadFDs: !o.Disabled.Has(linux.PIDFDThread) && linux.HasPIDFDThread(),
		inputs:    make(chan func(), 256), quit: make(chan struct{}), done: make(chan struct{}),
		loop: loop{
			registry: registry.New(), instances: map[string]*instance{}, tokens: map[string]*instance{},
			sources: map[*source]struct{}{}, holds: map[uint64]*hold{},
			drains: map[netip.AddrPort]struct{}{}, early: map[netip.AddrPort]*earlyListener{},
			bound: map[uint64]netip.AddrPort{}, takers: map[uint64][]taker{},
			places: map[netip.AddrPort]bool{}, remapped: map[netip.AddrPort]netip.AddrPort{},
			kept: map[uint32]uint64{}, told: map[netip.AddrPort]bool{}, warned: map[string]bool{}, serveProbes: map[*instance]serve.Probe{},
			udpBound: map[netip.AddrPort]bool{}, udpWaiters: map[netip.AddrPort][]chan struct{}{},
		},
	}
	i.ctx, i.cancel = context.WithCancel(ctx)
	i.routes.Store(newRoutes(hostAddrs()))
	agent, err := seccomp.ListenAgent(o.Socket, i.attach)
	if err != nil {
		return nil, err
	}
	i.agent = agent
	i.registry.Add(registry.Instance{Name: hostName, Service: hostName, HoldTimeout: o.HoldTimeout})
	go i.run()
	return i, nil
}

// Close ends every hold with ECONNREFUSED, gives all notifyFDs up and waits for
// its goroutines. The instances must have ended: their calls would fail.
func (i *Interceptor) Close() error {
	var err error
	i.closed.Do(func() {
		err = i.agent.Close()
		i.cancel()
		close(i.quit)
		<-i.done
		i.work.Wait()
	})
	return err
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

// Add makes an instance known and returns the metadata with which its notifyFD
// must be handed over. Its early listeners are open when Add returns.
func (i *Interceptor) Add(in Instance) (metadata string) {
	metadata = "upall:" + rand.Text()
	i.do(func() {
		n := &instance{Instance: in}
		n.gated.Store(len(in.Jobs) > 0)
		n.probes, n.cancel = context.WithCancel(i.ctx)
		i.instances[in.Name], i.tokens[metadata] = n, n
		i.registry.Add(in.Instance)
		if in.Rewrite && !i.disabled.Has(linux.Park) {
			i.space.start(i)
		}
		i.updateRoutes(func(r *routes) {
			for _, a := range in.Addrs {
				r.project[a] = struct{}{}
			}
		})
		i.openEarly(n)
	})
	return metadata
}

// Started tells that the instance's program is about to run.
func (i *Interceptor) Started(name string) {
	i.do(func() { i.step(registry.Started{Instance: name}) })
}

// Ended tells that the instance's program, and all that descended from it, has
// ended; final: it is not started again.
func (i *Interceptor) Ended(name string, code int, final bool) {
	i.do(func() {
		n := i.instances[name]
		if n == nil {
			return
		}
		n.cancel()
		n.probes, n.cancel = context.WithCancel(i.ctx)
		i.dropSources(n)
		i.dropHoldsOf(n)
		i.forgetBinds(n)
		i.step(registry.Ended{Instance: name, Code: code, Final: final})
		if !final {
			i.openEarly(n)
		} else {
			i.closeEarly(n)
		}
	})
}

// Answer ends the holds of the instance's kept calls, so that a signal to it is
// not delayed by them.
func (i *Interceptor) Answer(name string) {
	i.do(func() { i.answerKept(name) })
}

// Waiting returns for how many connects the instance waits.
func (i *Interceptor) Waiting(name string) (holds int) {
	i.do(func() { holds, _ = i.registry.Waiting(name) })
	return holds
}

// attach takes a notifyFD that a shim has handed over.
func (i *Interceptor) attach(state seccomp.State, fd *seccomp.NotifyFD) error {
	err := errors.New("the interceptor is closed")
	i.do(func() {
		n := i.tokens[state.Metadata]
		if n == nil {
			err = fmt.Errorf("hand-over with unknown metadata %q", state.Metadata)
			return
		}
		err = i.openSource(n, fd)
	})
	if err != nil {
		i.log.Warn("hand-over refused", "error", err)
		return errors.Join(err, fd.Close())
	}
	return nil
}

func (i *Interceptor) dropSources(n *instance) {
	for s := range i.sources {
		if s.instance == n {
			i.closeSource(s)
		}
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
		var pace <-chan time.Time
		if len(i.drains) > 0 || len(i.space.late) > 0 {
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
			i.findGone()
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
	for _, n := range i.instances {
		i.closeEarly(n)
		n.cancel()
	}
	if err := i.space.close(); err != nil {
		i.log.Warn("close the queue of parked connects", "error", err)
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
		i.endHold(o.ID, event.Refused, o.Cause, o.Elapsed)
	case registry.Expire:
		i.endHold(o.ID, event.Expired, o.Cause, o.Elapsed)
	case registry.Canceled:
		i.endHold(o.ID, event.Canceled, "the client went away", o.Elapsed)
	case registry.Probe:
		i.probe(o.At)
	case registry.Drain:
		i.drains[o.At] = struct{}{}
	case registry.Ready:
		i.tell(event.Event{Type: event.Ready, Instance: o.Instance, Elapsed: o.Elapsed})
	case registry.Settled:
		i.closeEarly(i.instances[o.Instance])
	case registry.Gate:
		if n := i.instances[o.Instance]; n != nil {
			n.gated.Store(!o.Open)
		}
	case registry.Cycle:
		i.tell(event.Event{
			Type: event.CycleFound, Members: o.Members,
			Message: "each connects before it listens; the hold timeout ends it",
		})
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
		i.tell(event.Event{Type: event.Warning, Service: service, Message: message})
	}
}
