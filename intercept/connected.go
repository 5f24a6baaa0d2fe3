package intercept

import (
	"cmp"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"upall/intercept/seccomp"
	"upall/internal/event"
	"upall/internal/linux"
)

// maxOutside bounds how many endpoints outside of the project a source tells apart:
// a crawler may connect to millions.
const maxOutside = 256

// Connects are connects of an instance to one endpoint that went on at once.
// Those that were held or refused have events of their own.
type Connects struct {
	Client      string         // instance; "host" for one to a published port
	Target      string         // service, "" = outside of the project
	Outside     netip.AddrPort // valid iff Target is "" and the endpoint is told apart from others
	Port        uint16         // of Target
	Count       uint64
	First, Last time.Time
}

// tally counts the connects of one source to one endpoint. The source adds, and the
// loop takes.
type tally struct {
	count atomic.Uint64
	last  atomic.Int64 // Unix time in nanoseconds
	first time.Time    // of what is counted next; of the loop
	what  Connects     // of the loop
}

func (t *tally) add(now time.Time) {
	t.count.Add(1)
	t.last.Store(now.UnixNano())
}

// take returns what was counted since the last time.
func (t *tally) take() (c Connects, is bool) {
	c = t.what
	c.Count = t.count.Swap(0)
	c.First, c.Last = t.first, time.Unix(0, t.last.Load())
	t.first = c.Last
	return c, c.Count > 0
}

// connects counts a connect that passes. It is on the fast path: a look-up, but for
// the first connect to an endpoint, of which the loop is told. Whoever calls waits
// for the response still.
func (s *source) connects(n *seccomp.Notification, found route) {
	if !found.isOpen && !isOutside(found.target) {
		s.connectsLocal(n, found.target)
		return
	}
	if t := s.seen[found.target]; t != nil {
		t.add(time.Now())
		return
	}
	if s.isStream(n) { // getaddrinfo(3) connects datagram sockets to see how it would go
		s.meet(found)
	}
}

// isOutside tells whether a connect to the address, which is not of the project,
// leaves the host or the container.
func isOutside(to netip.AddrPort) bool {
	a := to.Addr()
	return a.IsGlobalUnicast() && to.Port() != 0
}

func (s *source) isStream(n *seccomp.Notification) bool {
	fd, err := linux.DupFD(int(n.PID), int(int32(n.Args[0])), s.threadFDs)
	if err != nil {
		return false
	}
	sock, err := linux.NewSocket(fd)
	if err != nil {
		return false
	}
	defer s.discard(sock)
	return sock.IsTCP()
}

// meet begins to count the connects to an endpoint.
func (s *source) meet(found route) {
	key := found.target
	if !found.isOpen && s.outside >= maxOutside {
		key = netip.AddrPort{} // those that are not told apart
	}
	now := time.Now()
	if t := s.seen[key]; t != nil {
		t.add(now)
		return
	}
	t := &tally{first: now}
	t.add(now) // before the loop knows it
	s.seen[key] = t
	if s.meter != nil && key.IsValid() {
		s.meter.Know(key)
	}
	if !found.isOpen {
		s.outside++
	}
	s.inLoop(func() { s.counts(s, t, key, found.isOpen) })
}

// counts has the loop know a tally of a source.
func (i *Interceptor) counts(s *source, t *tally, to netip.AddrPort, ofProject bool) {
	n := s.instance
	t.what = Connects{Client: n.Name, Outside: to}
	if ofProject {
		server := i.serverAt(to)
		if server == nil || server == n {
			return
		}
		t.what = Connects{Client: n.Name, Target: server.Service, Port: to.Port()}
		if i.tellConnected(n, to, 1) {
			t.count.Add(^uint64(0)) // the event counts it
		}
	}
	if i.instances[n.Name] != n {
		return
	}
	i.tallies[s] = append(i.tallies[s], t)
	if _, runs := i.sources[s]; !runs { // it has ended meanwhile
		i.takeTallies(s)
	}
}

// takeTallies keeps what a source has counted that is no more.
func (i *Interceptor) takeTallies(s *source) {
	for _, t := range i.tallies[s] {
		if c, is := t.take(); is {
			i.passed = append(i.passed, c)
		}
	}
	delete(i.tallies, s)
}

// countOne counts a connect that the loop has let go on.
func (i *Interceptor) countOne(h *hold) {
	n, client := (*instance)(nil), hostName
	if h.source != nil {
		n, client = h.source.instance, h.source.instance.Name
	}
	server := i.serverAt(h.target)
	if server == nil || server == n || n != nil && i.instances[n.Name] != n {
		return
	}
	if n != nil && i.tellConnected(n, h.target, 1) {
		return
	}
	now := time.Now()
	i.passed = append(i.passed, Connects{Client: client, Target: server.Service, Port: h.target.Port(), Count: 1, First: now, Last: now})
	if len(i.passed) >= maxOutside {
		i.passed = fold(i.passed)
	}
}

// Connects returns what was counted since the last call, sorted.
func (i *Interceptor) Connects() (all []Connects) {
	i.do(func() {
		all, i.passed = i.passed, nil
		for _, tallies := range i.tallies {
			for _, t := range tallies {
				if c, is := t.take(); is {
					all = append(all, c)
				}
			}
		}
	})
	return fold(all)
}

// fold adds up what is of the same client and endpoint.
func fold(all []Connects) []Connects {
	slices.SortStableFunc(all, func(a, b Connects) int {
		return cmp.Or(cmp.Compare(a.Client, b.Client), cmp.Compare(a.Target, b.Target), a.Outside.Compare(b.Outside), cmp.Compare(a.Port, b.Port))
	})
	var folded []Connects
	for _, c := range all {
		last := len(folded) - 1
		if last < 0 || folded[last].Client != c.Client || folded[last].Target != c.Target || folded[last].Outside != c.Outside || folded[last].Port != c.Port {
			folded = append(folded, c)
			continue
		}
		f := &folded[last]
		f.Count += c.Count
		if c.First.Before(f.First) {
			f.First = c.First
		}
		if c.Last.After(f.Last) {
			f.Last = c.Last
		}
	}
	return folded
}

// tellRelease tells of a hold whose connect goes on.
func (i *Interceptor) tellRelease(h *hold) {
	if h.source != nil {
		i.tellConnected(h.source.instance, h.target, 0) // the end of the hold counts it
	}
}

// tellConnected tells of the first connect of an instance to an endpoint in a run,
// which the event counts for count. It returns whether that was one.
func (i *Interceptor) tellConnected(n *instance, target netip.AddrPort, count int) bool {
	if _, told := n.connected[target]; told || i.instances[n.Name] != n {
		return false
	}
	server := i.serverAt(target)
	if server == nil || server == n {
		return false
	}
	n.connected[target] = struct{}{}
	i.tell(event.Event{Type: event.Connected, Instance: n.Name, Target: server.Service, Port: target.Port(), Count: count})
	return true
}

// serverAt is who listens at the endpoint, else who has the address.
func (i *Interceptor) serverAt(at netip.AddrPort) *instance {
	if n := i.instances[i.registry.Listener(at)]; n != nil {
		return n
	}
	return i.instanceAt(at.Addr())
}
