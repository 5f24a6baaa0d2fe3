package intercept

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
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
	// Metadata is what its notifyFDs are handed over with, if that is not for Add
	// to choose: a container keeps it over several runs of upall.
	Metadata string
	// Loopback stands for the loopback of the network namespace: ::1 with a zone
	// that is unique to it, and the same for all instances that share it. Connects
	// to the loopback then wait for them as any other. Invalid: they pass. It has no
	// meaning with Rewrite.
	Loopback netip.Addr
	// OnHost says that the instance is in the host's network namespace, where
	// published ports are reached. Rewrite implies it.
	OnHost bool
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
	ownNetNS  linux.NetNSID
	agent     *seccomp.Agent
	routes    atomic.Pointer[routes]

	inputs chan func() // to the loop; full: the sender waits, so a client does
	// sourceDone says that a source has no task left; full: the loop is to look
	// already.
	sourceDone chan struct{}
	quit       chan struct{} // closed when the loop is to end
	done       chan struct{} // closed when it has
	ctx        context.Context
	cancel     context.CancelFunc
	work       sync.WaitGroup // probes and the connects that upall waits for
	closed     sync.Once

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
		sourceDone: make(chan struct{}, 1),
		loop:       newLoop(),
	}
	if err := i.findOwnNetNS(); err != nil {
		return nil, err
	}
	if err := seccomp.CatchInterrupts(); err != nil {
		return nil, err
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

func (i *Interceptor) findOwnNetNS() error {
	ns, err := linux.OpenNetNS(0)
	if err != nil {
		return err
	}
	i.ownNetNS, err = ns.ID()
	i.spaces[i.ownNetNS] = newSpace(i.ownNetNS, nil)
	return errors.Join(err, ns.Close())
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

// Add makes an instance known and returns the metadata with which its notifyFDs
// must be handed over. Its early listeners are open when Add returns. Instances
// may be added at any time.
func (i *Interceptor) Add(in Instance) (metadata string) {
	in.OnHost = in.OnHost || in.Rewrite
	if in.Metadata == "" {
		in.Metadata = "upall:" + rand.Text()
	}
	i.do(func() {
		n := &instance{Instance: in}
		n.gated.Store(len(in.Jobs) > 0)
		n.probes, n.cancel = context.WithCancel(i.ctx)
		i.instances[in.Name], i.tokens[in.Metadata] = n, n
		known := in.Instance
		if in.Loopback.IsValid() && !in.Rewrite {
			known.Addrs = append(slices.Clone(in.Addrs), in.Loopback)
		}
		i.registry.Add(known)
		if in.Rewrite {
			i.start(i.spaces[i.ownNetNS])
		}
		i.updateRoutes(func(r *routes) {
			for _, a := range in.Addrs {
				r.project[a] = struct{}{}
			}
		})
		i.openEarly(n)
	})
	return in.Metadata
}

// Remove forgets an instance, whose program has ended: those who wait for it are
// refused, unless another instance that shares its addresses may still come.
func (i *Interceptor) Remove(name string) {
	i.do(func() {
		n := i.instances[name]
		if n == nil {
			return
		}
		i.answerKept(name)
		i.forget(n)
		i.step(registry.Removed{Instance: name})
		i.closeEarly(n)
		n.cancel()
		delete(i.serveProbes, n)
		delete(i.tokens, n.Metadata)
		delete(i.instances, name)
		i.forgetRoutes(n)
	})
}

// forget drops what was of the instance's processes.
func (i *Interceptor) forget(n *instance) {
	i.dropSources(n)
	i.dropHoldsOf(n)
	i.forgetBinds(n)
}

// Answer ends the holds of the instance's kept calls, so that a signal to it is
// not delayed by them.
func (i *Interceptor) Answer(name string) {
	i.do(func() { i.answerKept(name) })
}

// attach takes a notifyFD that a shim has handed over.
func (i *Interceptor) attach(state seccomp.State, fd *seccomp.NotifyFD) error {
	err := errors.New("the interceptor is closed")
	ns, id := i.netNSOf(state.PID) // now: the process may be gone later
	i.do(func() {
		n := i.tokens[state.Metadata]
		if n == nil {
			i.log.Warn("hand-over with unknown metadata: what it is of is not held", "pid", state.PID)
			n = i.stranger()
		}
		err = nil
		i.runs(n)
		i.openSource(n, i.enter(ns, id), fd)
	})
	if err == nil {
		return nil
	}
	i.log.Warn("hand-over refused", "error", err)
	if ns != nil {
		err = errors.Join(err, ns.Close())
	}
	return errors.Join(err, fd.Close())
}

// stranger stands for what is handed over and is not of the plan: without anybody
// to answer, its calls would fail.
func (i *Interceptor) stranger() *instance {
	n := &instance{Instance: Instance{Instance: registry.Instance{Name: "unknown", Service: "unknown", NoHold: true}}}
	n.probes, n.cancel = context.WithCancel(i.ctx)
	return n
}

// dropSources closes those of an instance's sources that have no task left: what
// runs already in a container that is started again is of its next run.
func (i *Interceptor) dropSources(n *instance) {
	for s := range i.sources {
		if s.instance == n && (n.Rewrite || s.fd.IsDone()) {
			i.closeSource(s)
		}
	}
}
