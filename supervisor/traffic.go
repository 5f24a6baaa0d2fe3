package supervisor

import (
	"errors"
	"maps"
	"net"
	"net/netip"
	"slices"
	"time"

	"upall/intercept"
	"upall/intercept/traffic"
	"upall/supervisor/status"
)

// flow is what has gone over an edge.
type flow struct {
	traffic.Counts
	closed traffic.Counts // of connections that are over
	Open   int
	RTT    time.Duration // the mean of those
}

// savedFlow is what a later life is to know. What went over connections that are open
// it learns from the kernel.
type savedFlow struct {
	Edge   status.EdgeKey `json:"edge"`
	Counts traffic.Counts `json:"counts"`
}

// traffic returns what has gone over each edge, that of earlier lives too. Open
// connections are looked at if that is asked for.
func (b *board) traffic(i *intercept.Interceptor, isLookedAt bool) map[status.EdgeKey]flow {
	var all []intercept.Traffic
	switch {
	case i == nil:
	case isLookedAt:
		all = i.Traffic()
	default:
		all = i.TrafficSoFar()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	flows := map[status.EdgeKey]flow{}
	for key, counts := range b.before {
		flows[key] = flow{Counts: counts, closed: counts}
	}
	for _, t := range all {
		key := b.edgeOf(t)
		flows[key] = flows[key].with(t.Flow)
	}
	return flows
}

// with adds what went between two instances of the edge.
func (f flow) with(more traffic.Flow) flow {
	f.Counts.Add(more.Counts)
	f.closed.Add(more.Closed)
	if open := f.Open + more.Open; open > 0 {
		f.RTT = (f.RTT*time.Duration(f.Open) + more.RTT*time.Duration(more.Open)) / time.Duration(open)
		f.Open = open
	}
	return f
}

// edgeOf is called with mu held.
func (b *board) edgeOf(t intercept.Traffic) status.EdgeKey {
	key := status.EdgeKey{Client: b.services[t.Client], Target: t.Target, Port: t.Port, Protocol: "tcp"}
	if key.Client == "" {
		key.Client, key.FromHost = t.Client, t.Client == status.Host
	}
	if t.Outside.IsValid() {
		key.Address, key.Port = t.Outside.Addr().String(), t.Outside.Port()
	}
	return key
}

// keepTraffic has the board save what went over connections that are over.
func (b *board) keepTraffic(i *intercept.Interceptor) {
	flows := b.traffic(i, false)
	var all []savedFlow
	for key, f := range flows {
		if f.closed != (traffic.Counts{}) {
			all = append(all, savedFlow{key, f.closed})
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	known := map[status.EdgeKey]traffic.Counts{}
	for _, f := range all {
		known[f.Edge] = f.Counts
	}
	if !maps.Equal(known, b.closed) {
		b.closed, b.isNew = known, true
	}
}

// savedTraffic is called with mu held.
func (b *board) savedTraffic() (all []savedFlow) {
	for key, counts := range b.closed {
		all = append(all, savedFlow{key, counts})
	}
	slices.SortFunc(all, func(a, b savedFlow) int { return a.Edge.Compare(b.Edge) })
	return all
}

// restoreTraffic is called with mu held.
func (b *board) restoreTraffic(all []savedFlow) {
	b.before = map[status.EdgeKey]traffic.Counts{}
	for _, f := range all {
		b.before[f.Edge] = f.Counts
	}
	b.closed = maps.Clone(b.before)
}

// rememberOutside has connections counted that lead out of the project, and were
// open when the life before died.
func rememberOutside(i *intercept.Interceptor, edges []status.Edge) {
	for _, e := range edges {
		if addr, err := netip.ParseAddr(e.Address); err == nil {
			i.Remember(netip.AddrPortFrom(addr, e.Port))
		}
	}
}

// forwards has the bytes of a published port's connection to an instance counted.
func (s *supervisor) forwards(target netip.AddrPort) func(*net.TCPConn) {
	i := s.interceptor
	if i == nil {
		return nil
	}
	return func(conn *net.TCPConn) {
		raw, err := conn.SyscallConn()
		if err == nil {
			at := conn.RemoteAddr().(*net.TCPAddr).AddrPort() //nolint:forcetypeassert // of a TCP connection
			controlErr := raw.Control(func(fd uintptr) { err = i.Forwards(int(fd), target, at) })
			err = errors.Join(err, controlErr)
		}
		if err != nil {
			s.Logger.Debug("count the bytes of a published port", "error", err)
		}
	}
}
