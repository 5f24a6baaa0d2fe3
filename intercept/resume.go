package intercept

import (
	"errors"
	"maps"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"upall/intercept/park"
	"upall/intercept/registry"
	"upall/intercept/seccomp"
	"upall/intercept/serve"
	"upall/internal/linux"
)

// What an earlier process has left is gone on with in this order:
//
//	sources     notifyFDs and namespaces: nothing is received yet
//	ledger      who runs and listens, checked against the kernel
//	parkers     what is queued comes again, and waits for the loop
//	holds       from their records
//	calls       that were received and not answered: listen and bind, then connects
//	listeners   of which the ledger did not know
//	then the sources receive, and hand-overs are taken

// Resume goes on with what a killed process has left, see Options.Kept. By then the
// instances must be Added, and what is published told, as that process had them; what
// has happened to instances meanwhile is told after. Without anything left it does
// nothing.
func (i *Interceptor) Resume() (err error) {
	i.do(func() {
		if i.left != nil {
			err = i.resume(i.left)
		}
	})
	return err
}

// resumed is a source that does not receive yet.
type resumed struct {
	*source
	calls []seccomp.Notification
}

func (i *Interceptor) resume(l *left) error {
	sources := i.resumeSources(l.sources)
	i.resumeInstances(l.pages)
	i.left = nil // all of it is in the loop
	i.resumeParkers(l.parkers)
	i.resumeHolds(sources)
	i.redo(sources)
	i.findListeners()
	i.resumeEarly(l.pages)
	for _, s := range sources {
		s.source.redo = nil
		i.openSource(s.source)
	}
	if slices.ContainsFunc(slices.Collect(maps.Values(i.instances)), func(n *instance) bool { return n.Rewrite }) {
		i.start(i.spaces[i.ownNetNS])
	}
	return i.listen(seccomp.AgentOptions{Listener: l.agent, Conns: l.handOver})
}

// close is of what is not gone on with.
func (l *left) close() error {
	errs := []error{l.agent.Close()}
	for _, fd := range l.handOver {
		errs = append(errs, fd.Close())
	}
	for _, s := range l.sources {
		errs = append(errs, closeAll(s.fds))
	}
	for _, p := range l.parkers {
		errs = append(errs, closeAll(p.fds))
	}
	return errors.Join(errs...)
}

func (i *Interceptor) resumeSources(all []leftSource) (sources []resumed) {
	slices.SortFunc(all, func(a, b leftSource) int { return int(a.number) - int(b.number) }) //nolint:gosec // few
	for _, l := range all {
		n := i.tokens[l.Metadata]
		if n == nil {
			n = i.stranger()
		}
		fd := seccomp.NewNotifyFD(l.fds[0])
		calls, err := seccomp.AdoptCalls(l.fds[1])
		if err != nil {
			i.log.Error("go on with the calls of an earlier process", "instance", n.Name, "error", err)
		}
		s := i.newSource(n, i.spaceOf(l), fd)
		s.number, s.info, s.redo = l.number, l.notifyData, map[uint64]*record{}
		if s.rate.enabled {
			_ = fd.SetSyncWakeUp(false) // as the rate takes it to be; before Linux 6.6 it is
		}
		i.sources[s], n.space = struct{}{}, s.space
		r := resumed{source: s}
		if calls != nil {
			fd.Record(calls)
			r.calls = calls.Left()
		}
		sources = append(sources, r)
	}
	return sources
}

// spaceOf enters the network namespace of a source.
func (i *Interceptor) spaceOf(l leftSource) *space {
	const nsAt = 2
	if len(l.fds) <= nsAt {
		return i.enter(nil, i.ownNetNS)
	}
	ns := &linux.NetNS{FD: l.fds[nsAt]}
	id, err := ns.ID()
	if err != nil {
		i.logIf("find the network namespace of a source", errors.Join(err, ns.Close()))
		return i.enter(nil, i.ownNetNS)
	}
	return i.enter(ns, id)
}

// resumeInstances opens the ledger again. Of an instance of which it does not tell
// but what runs under its filter, it is known that it runs.
func (i *Interceptor) resumeInstances(pages map[string]page) {
	lives := map[string]registry.Life{}
	for name, n := range i.instances {
		if p, known := pages[name]; known {
			i.turn(n, &p)
			lives[name] = p.Life
			if probe, ok := serve.For(n.programs...); ok {
				i.serveProbes[n] = probe
			}
		}
	}
	i.restore(lives)
	for _, n := range i.sorted() {
		_, known := lives[n.Name]
		if !i.hasTasks(n) || (known && n.Rewrite) {
			continue // of a process all is told
		}
		n.isAwaited = false // killed just after the hand-over
		if !n.isRunning {
			i.begins(n)
		}
	}
	for _, n := range i.sorted() {
		i.checkListeners(n, lives[n.Name])
	}
}

// restore goes on with the registry's part.
func (i *Interceptor) restore(lives map[string]registry.Life) {
	i.carryOutAll(i.registry.Restore(time.Now(), lives))
	i.updateRoutes(func(r *routes) {
		for _, l := range lives {
			for _, e := range l.Endpoints {
				if i.registry.Listens(e.At) {
					r.listens[e.At] = struct{}{}
				}
			}
		}
	})
}

// sorted returns the instances in an order that does not change.
func (i *Interceptor) sorted() []*instance {
	var all []*instance
	for _, name := range slices.Sorted(maps.Keys(i.instances)) {
		all = append(all, i.instances[name])
	}
	return all
}

// resumeParkers goes on with what is parked. What is queued comes to the loop after
// Resume.
func (i *Interceptor) resumeParkers(parkers map[linux.NetNSID]leftParker) {
	for id, l := range parkers {
		s := i.spaces[id]
		if s == nil || (s.ns != nil && s.sources == 0) {
			i.closeParker(l)
			continue
		}
		parker, err := park.Adopt(i.parkOptions(s), l.data, l.fds)
		if err != nil {
			i.log.Error("go on with what is parked", "error", err)
			i.drop(l.entry)
			continue // a new one is opened with its sources
		}
		s.parker, s.entry, s.opening = parker, l.entry, make(chan struct{})
		close(s.opening)
	}
}

// closeParker ends the parker of a namespace in which nothing is left.
func (i *Interceptor) closeParker(l leftParker) {
	i.drop(l.entry)
	i.work.Go(func() {
		parker, err := park.Adopt(park.Options{Handle: func(park.Packet) {}, Logger: i.log}, l.data, l.fds)
		if err == nil {
			err = parker.Close()
		}
		i.logIf("close what was parked", err)
	})
}

// redo decides on the calls that were received and not answered. What an earlier
// process has done of them is found done, so each can be done again. Listeners come
// first, as connects may be to them.
func (i *Interceptor) redo(sources []resumed) {
	isListen := func(n *seccomp.Notification) bool {
		return int(n.Nr) == unix.SYS_LISTEN || int(n.Nr) == unix.SYS_BIND
	}
	for _, listens := range []bool{true, false} {
		for _, s := range sources {
			for n := range s.calls {
				if call := &s.calls[n]; isListen(call) == listens && s.fd.IsValid(call.ID) {
					s.handle(call)
				}
			}
		}
	}
	for _, s := range sources {
		for _, r := range s.source.redo { // their calls went away meanwhile, or need no hold
			i.finish(s.source, r)
		}
	}
}

// resumeEarly closes the early listeners that programs have got, and those that
// nobody is to get, and opens those that were to be.
func (i *Interceptor) resumeEarly(pages map[string]page) {
	for at := range i.early {
		n := i.instanceAt(at.Addr())
		isOver := n == nil || n.isOver || (n.isRunning && pages[n.Name].Life.SettledTold && !i.isWaitedFor(at))
		if isOver || i.registry.Listens(at) {
			i.dropEarly(at)
		}
	}
	for _, n := range i.sorted() {
		if !n.isRunning && !n.isOver {
			i.openEarly(n)
		}
		i.changed(n)
	}
}
