package traffic

import (
	"maps"
	"net/netip"
	"time"

	"upall/intercept/sockdiag"
	"upall/internal/linux"
)

// Space is a network namespace.
type Space = linux.NetNSID

// Key is who is whose client.
type Key struct {
	Client string         // instance
	Server netip.AddrPort // as the client means it; it may listen elsewhere
}

// Flow is what has gone over the connections of a Key.
type Flow struct {
	Key
	Counts        // of all
	Closed Counts // of those that are over
	Open   int    // connections, as of the newest sweep
	RTT    time.Duration
}

// Counts are bytes of payload.
type Counts struct {
	Sent     uint64 // from the client to the server
	Received uint64
}

// Add adds more.
func (c *Counts) Add(more Counts) {
	c.Sent += more.Sent
	c.Received += more.Received
}

// Bounds of what is remembered.
const (
	maxEndpoints = 1 << 14
	maxFlows     = 1 << 13
	maxLone      = 1 << 16
)

// loneTime is how long the other end of a connection may take to be told of.
const loneTime = 5 * time.Second

// Book is the accounts. It is pure. All but Know, IsOnly and Claim are for one goroutine.
type Book struct {
	*directory
	spaces map[Space]*space
	owners map[netip.Addr]owner // of addresses that no other has
	conns  map[tuple]*conn
	// Clients' ends that were reset, of which the kernel knows the port alone: by their
	// claim, and of instances that have their addresses for themselves.
	resets     recent[tuple, reset]
	portResets recent[port, time.Time]
	awaited    map[port]*conn // whose client's end is not known
	lone       []lone         // ends that are over and without another, the oldest first
	flows      map[Key]*Flow
	sweeps     int
}

// space is a network namespace whose sockets are told of.
type space struct {
	instance string // whose it is; "" = of several
	listed   map[uint64]*listed
	round    int
}

// owner is an instance that has a namespace for itself.
type owner struct {
	instance string
	space    Space
}

// listed is a socket that was in a list, and has not ended.
type listed struct {
	conn  *conn
	side  side
	round int // of the newest list that had it
}

// socket is a cookie in its namespace.
type socket struct {
	space  Space
	cookie uint64
}

// Claim says whose a client's socket is.
type Claim struct {
	Key
	At netip.AddrPort // where it connects to
}

// lone is a connection of which one end is not known yet.
type lone struct {
	conn  *conn
	since time.Time
	sweep int
}

// NewBook returns an empty one.
func NewBook() *Book {
	return &Book{
		directory: newDirectory(), spaces: map[Space]*space{}, owners: map[netip.Addr]owner{},
		conns: map[tuple]*conn{}, awaited: map[port]*conn{}, flows: map[Key]*Flow{},
	}
}

// Enter begins to take what is told of a namespace. Of one that an instance has for
// itself each client is that instance, and the addresses are its own.
func (b *Book) Enter(id Space, instance string, addrs []netip.Addr) {
	s := b.spaces[id]
	if s == nil {
		s = &space{instance: instance, listed: map[uint64]*listed{}}
		b.spaces[id] = s
	}
	if s.instance != instance { // they share it
		maps.DeleteFunc(b.owners, func(_ netip.Addr, of owner) bool { return of.instance == s.instance })
		s.instance, instance = "", ""
	}
	for _, a := range addrs {
		if instance != "" {
			b.owners[a] = owner{instance, id}
		}
	}
}

// Leave ends what is told of a namespace: the last that was known of its sockets
// counts.
func (b *Book) Leave(id Space, now time.Time) {
	s := b.spaces[id]
	if s == nil {
		return
	}
	delete(b.spaces, id)
	for _, l := range s.listed {
		b.over(l.conn, l.side, now)
	}
}

// Know says that connections to an endpoint are of interest.
func (b *Book) Know(at netip.AddrPort) { b.know(at) }

// IsOnly notes that a client is about to connect to an endpoint on the loopback of a
// namespace, and returns whether it is the only one that does, so that its socket
// needs no Claim. Elsewhere each does.
func (b *Book) IsOnly(id Space, c Claim) bool {
	return c.At.Addr().IsLoopback() && b.isOnly(place{id, c.At}, c.Key)
}

// Claim says whose a socket is that is about to connect.
func (b *Book) Claim(id Space, cookie uint64, c Claim) { b.claim(socket{id, cookie}, c) }

// Ended takes the last counts of a socket.
func (b *Book) Ended(id Space, t sockdiag.Traffic, now time.Time) {
	s := b.spaces[id]
	if s == nil {
		return
	}
	c, side := b.find(id, s, t, now)
	delete(s.listed, t.Cookie)
	b.drop(socket{id, t.Cookie})
	if c == nil {
		return
	}
	c.ends[side].take(t)
	b.over(c, side, now)
}

// missing is in how many lists in a row a socket may be missing before it is taken
// for ended: the message that tells comes after the list, if it was not lost.
const missing = 3

// Listed takes a list of the open sockets of a namespace, made when Ended was called
// for all that was told before.
func (b *Book) Listed(id Space, all []sockdiag.Traffic, now time.Time) {
	s := b.spaces[id]
	if s == nil {
		return
	}
	s.round++
	for _, t := range all {
		l := s.listed[t.Cookie]
		if l == nil {
			c, side := b.find(id, s, t, now)
			if c == nil {
				continue
			}
			l = &listed{conn: c, side: side}
			s.listed[t.Cookie] = l
			b.drop(socket{id, t.Cookie})
		}
		l.round = s.round
		l.conn.ends[l.side].take(t)
		b.count(l.conn)
	}
	for cookie, l := range s.listed {
		if s.round-l.round >= missing {
			delete(s.listed, cookie)
			b.over(l.conn, l.side, now)
		}
	}
}

// Swept says that each namespace was listed since the last time: what has no other
// end by now has none.
func (b *Book) Swept(now time.Time) {
	b.sweeps++
	for len(b.lone) > 0 && now.Sub(b.lone[0].since) >= loneTime && b.sweeps-b.lone[0].sweep > 1 {
		b.dropLone()
	}
}

// dropLone ends the wait for the other end of the oldest that has none.
func (b *Book) dropLone() {
	if c := b.lone[0].conn; c.isLone() {
		b.finish(c)
	}
	b.lone = b.lone[1:]
}

// Flows returns what was counted so far.
func (b *Book) Flows() []Flow {
	open := map[Key]*Flow{}
	for _, c := range b.conns {
		if !c.isKnown || c.ends[client].isOver || c.ends[server].isOver {
			continue
		}
		f := open[c.key]
		if f == nil {
			f = &Flow{}
			open[c.key] = f
		}
		f.Open++
		f.RTT += c.rtt()
	}
	all := make([]Flow, 0, len(b.flows))
	for key, f := range b.flows {
		flow := *f
		if o := open[key]; o != nil {
			flow.Open, flow.RTT = o.Open, o.RTT/time.Duration(o.Open)
		}
		all = append(all, flow)
	}
	return all
}
