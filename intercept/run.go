package intercept

import (
	"context"

	"upall/intercept/registry"
)

// A run of an instance is from its program's start to its end. Those of a process
// are told by who starts it. A container is started and ended by others too, who
// tell of it late; but each of its runs begins with a hand-over, and ends when
// nothing is left under the filter.

// Started tells that the instance's program is about to run: for the first time,
// or again, also after it has ended for good.
func (i *Interceptor) Started(name string) {
	i.do(func() {
		if n := i.instances[name]; n != nil {
			n.isAwaited = true
			i.begins(n)
			i.save()
		}
	})
}

// Began tells that somebody else has started the instance, which its hand-over
// may have told already.
func (i *Interceptor) Began(name string) {
	i.do(func() {
		if n := i.instances[name]; n != nil && !n.isRunning {
			i.begins(n)
		}
	})
}

// runs notes that something of an instance is handed over: the first process of
// a run, unless others run already, as where a session joins (docker exec).
func (i *Interceptor) runs(n *instance) {
	switch {
	case n.Rewrite: // its start has been told; this may be a healthcheck, and late
	case n.isAwaited:
		n.isAwaited = false
		i.changed(n)
	case !i.hasTasks(n):
		i.begins(n)
	}
}

func (i *Interceptor) begins(n *instance) {
	if n.isOver {
		n.isOver = false
		i.openEarly(n)
	}
	n.isRunning = true
	clear(n.connected)
	clear(n.diagnosed)
	n.local = nil
	i.step(registry.Started{Instance: n.Name})
	i.changed(n)
}

// Ended tells that the instance's program, and all that descended from it, has
// ended; final: it is not started again. It is ignored while something runs under
// the filter of a container: then it is of an earlier run.
func (i *Interceptor) Ended(name string, code int, final bool) {
	i.do(func() {
		n := i.instances[name]
		if n == nil || (!n.Rewrite && i.hasTasks(n)) {
			return
		}
		if code != 0 {
			i.diagnoseLocal(n, 0) // it may have ended for that
		}
		n.cancel()
		n.probes, n.cancel = context.WithCancel(i.ctx)
		i.forget(n)
		n.isRunning, n.isAwaited = false, false
		i.step(registry.Ended{Instance: name, Code: code, Final: final})
		n.isOver = final
		i.record(n)
		if !final {
			i.openEarly(n)
		} else {
			i.closeEarly(n)
		}
	})
}

func (i *Interceptor) hasTasks(n *instance) bool {
	for s := range i.sources {
		if s.instance == n && !s.fd.IsDone() {
			return true
		}
	}
	return false
}

// lapse notes that nothing of a container runs any more. Whether it comes back is
// told later; who connects meanwhile waits.
func (i *Interceptor) lapse(n *instance) {
	if n.Rewrite || !n.isRunning || n.isAwaited || i.hasTasks(n) {
		return
	}
	n.isRunning = false
	i.step(registry.Ended{Instance: n.Name})
	i.record(n)
}
