package intercept

import (
	"cmp"
	"fmt"
	"net/netip"
	"time"

	"upall/intercept/registry"
	"upall/internal/event"
)

const (
	// diagnoseAfter is how long a connect is held before it is told why.
	diagnoseAfter = 2 * time.Second
	// maxDiagnoses bounds what is told of an instance in a run: it may connect to
	// every port there is.
	maxDiagnoses = 64
)

// diagnosis is what is told once in a run of a client.
type diagnosis struct {
	target string // service
	port   uint16
	kind   event.Kind
	cause  string // what is another one is told again
}

// diagnoseHolds tells why connects wait that have waited for long. What is in their
// way may become another thing while they do.
func (i *Interceptor) diagnoseHolds() {
	type edge struct {
		client *instance
		target netip.AddrPort
	}
	oldest := map[edge]*hold{}
	for _, h := range i.holds {
		if h.source == nil || h.way == "" || time.Since(h.began) < diagnoseAfter {
			continue
		}
		k := edge{h.source.instance, h.target}
		if o := oldest[k]; o == nil || h.began.Before(o.began) {
			oldest[k] = h
		}
	}
	for k := range oldest {
		if f, ok := i.registry.Diagnose(k.client.Name, k.target); ok {
			i.diagnose(k.client, k.target, f, "waits for")
		}
	}
}

// deny ends a connect that does not go on, and tells why.
func (i *Interceptor) deny(id uint64, end event.End, cause string, elapsed time.Duration) {
	h := i.holds[id]
	i.endHold(id, end, cause, elapsed)
	if h == nil || h.source == nil {
		return
	}
	f, ok := i.registry.Diagnose(h.source.instance.Name, h.target)
	if !ok {
		f = registry.Finding{Kind: event.Gone, Cause: cause}
	}
	i.diagnose(h.source.instance, h.target, f, "is refused by")
}

// diagnose tells of a finding, if it has not been told.
func (i *Interceptor) diagnose(n *instance, target netip.AddrPort, f registry.Finding, how string) {
	if f.Kind == event.WrongPort || f.Kind == event.NoPort || f.Kind == event.IsStarting {
		f = i.withUDP(f, target)
	}
	server := i.serverOf(f, target)
	i.tellDiagnosis(n, event.Event{
		Target: server, Port: target.Port(), Kind: f.Kind, Cause: f.Cause, About: f.About,
		Message: fmt.Sprintf("%s %s %s:%d: %s", n.Service, how, server, target.Port(), f.Cause),
	})
}

func (i *Interceptor) tellDiagnosis(n *instance, e event.Event) {
	d := diagnosis{e.Target, e.Port, e.Kind, e.Cause}
	if n.diagnosed[d] || len(n.diagnosed) >= maxDiagnoses || i.instances[n.Name] != n {
		return
	}
	n.diagnosed[d] = true
	e.Type, e.Instance = event.Diagnosed, n.Name
	i.tell(e)
}

// serverOf is the service that the connect is to, also where another keeps it.
func (i *Interceptor) serverOf(f registry.Finding, target netip.AddrPort) string {
	if n := i.serverAt(target); n != nil {
		return n.Service
	}
	return cmp.Or(f.About, target.Addr().String())
}

// withUDP looks whether the server has the port for UDP alone. The kernel is asked
// for that here and nowhere else: connects do not wait for it.
func (i *Interceptor) withUDP(f registry.Finding, target netip.AddrPort) registry.Finding {
	n := i.instances[f.Server]
	if n == nil || !i.hasUDP(n, target) {
		return f
	}
	f.Kind = event.UDP
	f.Cause = fmt.Sprintf("%s has port %d for UDP only, and the connect is TCP", n.Service, target.Port())
	return f
}

func (i *Interceptor) hasUDP(n *instance, target netip.AddrPort) bool {
	if i.udpBound[target] {
		return true
	}
	if n.space == nil || n.Rewrite || n.OnHost { // others are in that namespace too
		return false
	}
	diag, err := n.space.dial()
	if err != nil {
		return false
	}
	sockets, err := diag.Receiving()
	i.logIf("look for UDP sockets", err)
	for _, s := range sockets {
		if s.Local.Port() == target.Port() && !s.Local.Addr().IsLoopback() {
			return true
		}
	}
	return false
}
