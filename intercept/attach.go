package intercept

import (
	"encoding/json"
	"errors"
	"net/netip"
	"slices"

	"upall/intercept/registry"
	"upall/intercept/seccomp"
)

// attach takes a notifyFD that a shim or an engine has handed over.
func (i *Interceptor) attach(state seccomp.State, fd *seccomp.NotifyFD) error {
	err := errors.New("the interceptor is closed")
	isNew := false
	pid := state.Process()
	ns, id := i.netNSOf(pid) // now: the process may be gone later
	i.do(func() {
		if err = nil; i.isAttached(state.HandOver) {
			return // by an earlier process, which could not say so any more
		}
		isNew = true
		n := i.tokens[state.Metadata]
		if n == nil {
			i.log.Warn("hand-over with unknown metadata: what it is of is not held", "pid", pid)
			n = i.stranger()
			i.closeNS(ns) // it could have named anybody's
			ns, id = nil, i.ownNetNS
		}
		s := i.newSource(n, i.enter(ns, id), fd)
		s.isMain = !i.hasTasks(n)
		s.info = notifyData{Metadata: state.Metadata, PID: pid, HandOver: state.HandOver}
		i.keepSource(s)
		i.runs(n)
		i.record(n)
		i.openSource(s)
	})
	if isNew {
		return nil
	}
	if err != nil {
		i.log.Warn("hand-over refused", "error", err)
	}
	i.closeNS(ns)
	i.logIf("close a notifyFD", fd.Close())
	return err
}

// isAttached tells whether the hand-over has made a source already.
func (i *Interceptor) isAttached(handOver uint64) bool {
	for s := range i.sources {
		if handOver != 0 && s.info.HandOver == handOver {
			return true
		}
	}
	return false
}

// IsIdle tells whether nothing runs whose calls have to be answered.
func (i *Interceptor) IsIdle() (is bool) {
	i.do(func() { is = len(i.sources) == 0 })
	return is
}

// keepSource has the source survive this process.
func (i *Interceptor) keepSource(s *source) {
	if i.keeper == nil {
		return
	}
	s.number = i.nextNumber()
	fds := []int{s.fd.FD()}
	calls, err := seccomp.NewCalls()
	if err != nil {
		i.log.Error("make memory for notifications", "instance", s.instance.Name, "error", err)
		return
	}
	s.fd.Record(calls)
	fds = append(fds, calls.FD())
	if s.space.ns != nil {
		fds = append(fds, s.space.ns.Int())
	}
	data, err := json.Marshal(s.info)
	i.logIf("describe a source", err)
	i.put(s.entry(), data, fds...)
}

// stranger stands for what is handed over and is not of the plan: without anybody
// to answer, its calls would fail.
func (i *Interceptor) stranger() *instance {
	return i.newInstance(Instance{Instance: registry.Instance{Name: "unknown", Service: "unknown", NoHold: true}})
}

func (n *Instance) has(addr netip.Addr) bool {
	return slices.Contains(n.Addrs, addr) || (n.Loopback == addr && addr.IsValid())
}
