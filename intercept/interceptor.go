package intercept

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"upall/intercept/registry"
	"upall/intercept/seccomp"
	"upall/intercept/traffic"
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
	// Keep is where descriptors survive this process. Nil: nothing survives.
	Keep Keep
	// Kept is what an earlier process has put there. Open takes over those entries
	// that are an Interceptor's, and leaves others alone. Then nothing is served
	// before Resume.
	Kept []Kept
	// Ledger is an existing directory, in memory and for the owner alone, for what
	// must survive and is no descriptor. "": if this process is killed, the next one
	// asks the kernel who listens.
	Ledger string
}

// Interceptor is the interceptor of one project. Make one with Open.
type Interceptor struct {
	emit      func(event.Event)
	log       *slog.Logger
	disabled  linux.Disabled
	threadFDs bool // PIDFD_THREAD
	ownNetNS  linux.NetNSID
	keeper    Keep   // nil: none
	ledger    ledger // "": none
	socket    string
	agent     *seccomp.Agent // nil before Resume
	meter     *traffic.Meter
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

// Open starts an Interceptor, or goes on with that of a process that was killed:
// see Options.Kept, and Resume. ctx bounds its life.
func Open(ctx context.Context, o Options) (*Interceptor, error) {
	if err := linux.HasUserNotification(); err != nil {
		return nil, fmt.Errorf("seccomp user notification (Linux 5.9) is not usable here: %w", err)
	}
	i := &Interceptor{
		emit: o.Emit, log: o.Logger, disabled: o.Disabled, keeper: o.Keep, ledger: ledger(o.Ledger), socket: o.Socket,
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
	i.openMeter()
	if err := i.openMemory(o.Kept); err != nil {
		i.meter.Close()
		return nil, err
	}
	if i.left == nil {
		if err := i.listen(seccomp.AgentOptions{}); err != nil {
			i.meter.Close()
			return nil, errors.Join(err, i.records.close())
		}
	}
	i.registry.Add(registry.Instance{Name: hostName, Service: hostName, HoldTimeout: o.HoldTimeout})
	go i.run()
	return i, nil
}

// openMemory finds what an earlier process has left, and makes what the next one
// needs.
func (i *Interceptor) openMemory(kept []Kept) error {
	if err := i.adopt(kept); err != nil {
		return err
	}
	if i.keeper == nil {
		return nil
	}
	if i.left == nil {
		if err := i.ledger.clear(); err != nil {
			return err
		}
	}
	if i.records != nil {
		return nil
	}
	var err error
	if i.records, err = newRecords(); err != nil {
		return err
	}
	i.put(holdsEntry, nil, i.records.fd.Int())
	return nil
}

// listen opens the socket for the hand-overs, or goes on with the one of o.
func (i *Interceptor) listen(o seccomp.AgentOptions) (err error) {
	o.Path, o.Attach, o.Keep, o.Logger = i.socket, i.attach, i.keeper, i.log
	i.agent, err = seccomp.ListenAgent(o)
	return err
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
		if i.agent != nil {
			err = i.agent.Close()
		}
		i.cancel()
		close(i.quit)
		<-i.done
		i.meter.Close()
		i.work.Wait()
		i.drop(holdsEntry)
		err = errors.Join(err, i.records.close())
	})
	return err
}

// Answer ends the holds of the instance's kept calls, so that a signal to it is
// not delayed by them.
func (i *Interceptor) Answer(name string) {
	i.do(func() { i.answerKept(name) })
}
