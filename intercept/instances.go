package intercept

import (
	"cmp"
	"context"
	"maps"
	"net/netip"
	"slices"

	"upall/intercept/registry"
	"upall/intercept/seccomp"
)

// Add makes an instance known and returns the metadata with which its notifyFDs
// must be handed over. Its early listeners are open when Add returns. Instances
// may be added at any time. One that is known already is described anew: what
// runs of it goes on.
func (i *Interceptor) Add(in Instance) (metadata string) {
	in.OnHost = in.OnHost || in.Rewrite
	i.do(func() {
		n := i.instances[in.Name]
		in.Metadata = cmp.Or(in.Metadata, i.metadataOf(in.Name), seccomp.ShimMetadata())
		metadata = in.Metadata
		if n == nil {
			n = i.newInstance(in)
		} else {
			i.describeAnew(n, in)
		}
		i.instances[in.Name], i.tokens[in.Metadata] = n, n
		known := in.Instance
		if in.Loopback.IsValid() && !in.Rewrite {
			known.Addrs = append(slices.Clone(in.Addrs), in.Loopback)
		}
		i.registry.Add(known)
		i.updateRoutes(func(r *routes) {
			for _, a := range in.Addrs {
				r.project[a] = struct{}{}
			}
		})
		if i.left != nil {
			return // Resume does the rest
		}
		if in.Rewrite {
			i.start(i.spaces[i.ownNetNS])
		}
		if !n.isRunning && !n.isOver {
			i.openEarly(n)
		}
		i.record(n)
	})
	return metadata
}

// metadataOf is what the instance's processes have been told already, also by an
// earlier upall, "" for nothing.
func (i *Interceptor) metadataOf(name string) string {
	if n := i.instances[name]; n != nil {
		return n.Metadata
	}
	if i.left != nil {
		return i.left.pages[name].Metadata
	}
	return ""
}

func (i *Interceptor) newInstance(in Instance) *instance {
	n := &instance{Instance: in, connected: map[netip.AddrPort]struct{}{}, diagnosed: map[diagnosis]bool{}}
	n.view.Store(&in)
	n.gated.Store(len(in.Jobs()) > 0)
	n.probes, n.cancel = context.WithCancel(i.ctx)
	return n
}

// describeAnew changes what is known of an instance. Early listeners that are not
// wanted any more are closed, unless somebody waits in them.
func (i *Interceptor) describeAnew(n *instance, in Instance) {
	old := n.Instance
	n.Instance = in
	n.view.Store(&in)
	if old.Metadata != in.Metadata {
		delete(i.tokens, old.Metadata)
	}
	i.forgetRoutes(old)
	for at := range i.early {
		isWanted := n.has(at.Addr()) && (slices.Contains(in.Early, at.Port()) || (in.OnDemand != nil && in.OnDemand(at.Port())))
		if slices.Contains(old.Addrs, at.Addr()) && !isWanted && !i.isWaitedFor(at) {
			i.dropEarly(at)
		}
	}
}

// isWaitedFor tells whether a hold is on the endpoint.
func (i *Interceptor) isWaitedFor(at netip.AddrPort) bool {
	for _, h := range i.holds {
		if h.target == at {
			return true
		}
	}
	return false
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
		delete(i.stale, n)
		i.forgetRoutes(n.Instance)
		if i.ledger != "" {
			i.logIf("remove a page of the ledger", i.ledger.remove(name))
		}
	})
}

// forgetRoutes drops what leads to a removed instance, unless others share its
// addresses.
func (i *Interceptor) forgetRoutes(n Instance) {
	isGone := func(a netip.Addr) bool { return n.has(a) && i.instanceAt(a) == nil }
	maps.DeleteFunc(i.loopbacks, func(at, _ netip.AddrPort) bool { return isGone(at.Addr()) })
	i.updateRoutes(func(r *routes) {
		maps.DeleteFunc(r.project, func(a netip.Addr, _ struct{}) bool { return isGone(a) })
		maps.DeleteFunc(r.published, func(_, target netip.AddrPort) bool { return isGone(target.Addr()) })
	})
}

// forget drops what was of the instance's processes.
func (i *Interceptor) forget(n *instance) {
	i.dropSources(n)
	i.dropHoldsOf(n)
	i.forgetBinds(n)
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
