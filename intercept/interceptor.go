package intercept

import (
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

// Open starts an Interceptor. ctx bounds its life.
func Open(ctx context.Context, o Options) (*Interceptor, error) {
	if err := linux.HasUserNotification(); err != nil {
		return nil, fmt.Errorf("seccomp user notification (Linux 5.9) is not usable here: %w", err)
	}
	i := &Interceptor{
		emit: o.Emit, log: o.Logger, disabled: o.Disabled,
		threadFDs: !o.Disabled.Has(linux.PIDFDThread) && linux.HasPIDFDThread(),
		inputs:    make(chan func(), 256), quit: make(chan struct{}), done: make(chan struct{}),
		loop: newLoop(),
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
