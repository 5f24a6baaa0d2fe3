package intercept

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"upall/intercept/seccomp"
	"upall/internal/event"
)

const (
	// maxLocal bounds how many ports of its loopback are remembered of an instance
	// and of a source.
	maxLocal = 64
	// localPatience is how long a service has to listen itself where it connects to.
	localPatience = 2 * time.Second
	// localMemory is how long it is looked for another service that does.
	localMemory = time.Minute
)

// local is a connect of an instance to its own loopback where nobody listens: in a
// container localhost is not the host, which is easily forgotten.
type local struct {
	port  uint16
	since time.Time
}

// connectsLocal has the loop look at the first connect to a port of the loopback.
// It is on the fast path, as connects is. Healthchecks come too early by nature.
func (s *source) connectsLocal(n *seccomp.Notification, to netip.AddrPort) {
	to = specified(to)
	if !s.isMain || !to.Addr().IsLoopback() || to.Addr() == engineDNS || s.local[to.Port()] || len(s.local) >= maxLocal {
		return
	}
	s.local[to.Port()] = true
	if s.isStream(n) {
		s.inLoop(func() { s.meetLocal(s, to) })
	}
}

// meetLocal remembers the connect if nobody accepts it. The client may have ended for
// that already.
func (i *Interceptor) meetLocal(s *source, to netip.AddrPort) {
	n := s.instance
	if i.instances[n.Name] != n || n.NoHold || len(n.local) >= maxLocal || n.hasPort(to.Port()) {
		return
	}
	if !s.space.isClosed {
		if _, _, err := s.space.acceptQueue(to); err == nil {
			return
		}
	}
	n.local = append(n.local, local{to.Port(), time.Now()})
}

// hasPort tells whether the instance listens on the port, or has declared it.
func (n *instance) hasPort(port uint16) bool {
	return n.listensOn(port) || slices.Contains(n.Ports, port)
}

func (n *instance) listensOn(port uint16) bool {
	return slices.ContainsFunc(n.listens, func(l listening) bool { return l.At.Port() == port })
}

func (i *Interceptor) diagnoseLocals() {
	for _, n := range i.instances {
		i.diagnoseLocal(n, localPatience)
	}
}

// diagnoseLocal tells where the instance connects to itself and another service is
// meant. It may still listen there itself.
func (i *Interceptor) diagnoseLocal(n *instance, patience time.Duration) {
	n.local = slices.DeleteFunc(n.local, func(l local) bool {
		since := time.Since(l.since)
		switch {
		case since < patience:
			return false
		case n.hasPort(l.port) || since > localMemory:
			return true
		}
		return i.meansOther(n, l.port)
	})
}

// meansOther tells of another service that has the port, if there is one.
func (i *Interceptor) meansOther(n *instance, port uint16) bool {
	for _, other := range i.sorted() {
		if other.Service == n.Service || !other.hasPort(port) {
			continue
		}
		verb := "has"
		if other.listensOn(port) {
			verb = "listens on"
		}
		remedy := fmt.Sprintf("%s %s %d: connect to %s:%d", other.Service, verb, port, other.Service, port)
		i.tellDiagnosis(n, event.Event{
			Target: other.Service, Port: port, Kind: event.Localhost, About: other.Service,
			Cause:   fmt.Sprintf("nobody listens on localhost:%d; %s", port, remedy),
			Message: fmt.Sprintf("%s connects to localhost:%d, where nobody listens; %s", n.Service, port, remedy),
		})
		return true
	}
	return false
}
