package traffic

import (
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"upall/intercept/sockdiag"
)

// side is which end of a connection a socket is.
type side int

const (
	client side = iota
	server
)

func (s side) other() side { return 1 - s }

// tuple tells connections apart.
type tuple struct {
	space          Space // where the client is, if its address is a loopback's
	client, server netip.AddrPort
}

func newTuple(id Space, client, server netip.AddrPort) tuple {
	t := tuple{client: client, server: server}
	if client.Addr().IsLoopback() {
		t.space = id
	}
	return t
}

// conn is a connection.
type conn struct {
	tuple
	key     Key
	isKnown bool // key is
	ends    [2]end
	counted Counts // are in the flow
	from    port   // where its client's end is awaited
	closed  Counts // are in what is closed of it
}

// end is what is known of one end of a connection.
type end struct {
	cookie         uint64 // 0: nothing
	sent, received uint64
	rtt            time.Duration
	hasEnd         bool // received has the end of the peer's stream in it
	isOver         bool
	wasReset       bool // by its own side: the kernel has forgotten what went over it
}

func (e *end) take(t sockdiag.Traffic) {
	e.cookie = t.Cookie
	e.sent, e.received = max(e.sent, t.Sent), max(e.received, t.Received)
	e.rtt = t.RTT
	e.wasReset = t.Remote.Port() == 0
	switch t.State {
	case unix.BPF_TCP_CLOSE_WAIT, unix.BPF_TCP_LAST_ACK, unix.BPF_TCP_CLOSING:
		e.hasEnd = true
	}
}

// payload is what has gone from one end to the other: what the sender says, unless
// it does not know. A stream has had its end when both sockets have, but for one that
// its sender has reset.
func payload(from, to *end) uint64 {
	received := to.received
	if received > 0 && (to.hasEnd || to.isOver && !from.wasReset) {
		received--
	}
	return max(from.sent, received)
}

func (c *conn) counts() Counts {
	own, peer := &c.ends[client], &c.ends[server]
	return Counts{
		Sent:     payload(own, peer),
		Received: payload(peer, own),
	}
}

// isLone tells whether one end is over and the other not known.
func (c *conn) isLone() bool {
	for _, s := range []side{client, server} {
		if other := c.ends[s.other()]; c.ends[s].isOver && other.cookie == 0 && !other.isOver {
			return true
		}
	}
	return false
}

// rtt is the shorter one of both ends: a connect that was held has its client's begin
// with that.
func (c *conn) rtt() time.Duration {
	own, peer := c.ends[client].rtt, c.ends[server].rtt
	if own > 0 && peer > 0 {
		return min(own, peer)
	}
	return max(own, peer)
}

// find returns the connection of a socket and which end it is, nil if it is of no
// interest.
func (b *Book) find(id Space, s *space, t sockdiag.Traffic, now time.Time) (*conn, side) {
	if l := s.listed[t.Cookie]; l != nil {
		return l.conn, l.side
	}
	if claim, ok := b.claimOf(socket{id, t.Cookie}); ok {
		return b.claimed(id, t, claim, now), client
	}
	if b.knows(t.Local) {
		return b.served(id, t, now), server
	}
	if key, ok := b.clientOf(id, s, t); ok {
		which := newTuple(id, t.Local, t.Remote)
		if c := b.conns[which]; s.instance == "" && c != nil && !c.isPeer(client, t) {
			b.finish(c) // of one that was reset, and had this port
		}
		c := b.at(which, client, t.Cookie)
		c.know(key)
		return c, client
	}
	if s.instance != "" && t.Remote.Port() == 0 && t.Local.Port() != 0 {
		return b.wasReset(port{id, t.Local.Port()}, now), client
	}
	return nil, client
}

// isPeer tells whether a socket may be at this end, if the other one is over: what the
// one has sent the other has received, but for the end of the stream.
func (c *conn) isPeer(s side, t sockdiag.Traffic) bool {
	peer := &c.ends[s.other()]
	isSame := func(sent, received uint64) bool { return received == sent || received == sent+1 }
	return !peer.isOver || isSame(t.Sent, peer.received) || isSame(peer.sent, t.Received)
}

// clientOf is whose a client's socket is that nobody has claimed. On a loopback it is
// that of who was the first to connect there: all others claim.
func (b *Book) clientOf(id Space, s *space, t sockdiag.Traffic) (k Key, ok bool) {
	switch {
	case !wasConnected(t) || !b.knows(t.Remote):
		return Key{}, false
	case s.instance != "":
		return Key{s.instance, t.Remote}, true
	}
	k, _, ok = b.firstAt(place{id, t.Remote})
	return k, ok
}

// port is of a client that has a namespace for itself: elsewhere others have it too.
type port struct {
	space  Space
	number uint16
}

// wasReset is the connection of a socket of which the kernel knows the port alone, as
// far as the server's end is known.
func (b *Book) wasReset(p port, now time.Time) *conn {
	c := b.awaited[p]
	delete(b.awaited, p)
	if c == nil || c.ends[client].cookie != 0 {
		b.portResets.put(p, now)
		return nil
	}
	return c
}

// claimed is the connection of a client's socket of which it is known whose it is.
func (b *Book) claimed(id Space, t sockdiag.Traffic, claim Claim, now time.Time) *conn {
	if wasConnected(t) {
		c := b.at(newTuple(id, t.Local, t.Remote), client, t.Cookie)
		c.know(claim.Key)
		return c
	}
	if t.Local.Port() == 0 || t.Remote.Port() != 0 {
		return nil // it has never connected
	}
	// Refused, or closed with a reset: the kernel knows its port alone.
	local := t.Local
	if claim.At.Addr().IsLoopback() {
		local = netip.AddrPortFrom(loopbackOf(claim.At.Addr()), local.Port())
	}
	which := newTuple(id, local, claim.At)
	if c := b.conns[which]; c != nil && c.ends[client].cookie == 0 {
		c.know(claim.Key)
		return c
	}
	b.resets.put(which, reset{claim, now})
	return nil
}

// reset is the end of a client's socket of which the server's end is to tell.
type reset struct {
	Claim
	at time.Time
}

// wasConnected is false of a socket whose connect has failed, and of one that was
// closed with a reset.
func wasConnected(t sockdiag.Traffic) bool {
	return t.Remote.Port() != 0 && (t.RTT > 0 || t.Sent > 0 || t.Received > 0)
}

// loopbackOf is whence a socket connects to a loopback address that is not bound.
func loopbackOf(to netip.Addr) netip.Addr {
	if to.Is4() {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return netip.IPv6Loopback()
}

// served is the connection of a server's socket.
func (b *Book) served(id Space, t sockdiag.Traffic, now time.Time) *conn {
	if t.Remote.Port() == 0 {
		return nil // reset: the client's end tells
	}
	which := newTuple(id, t.Remote, t.Local)
	key, from, isTold := b.caller(id, t)
	if key, ok := b.takeReset(which, key, from, now); ok {
		return afterReset(which, key)
	}
	if c := b.conns[which]; isTold && which.client.Addr().IsLoopback() && c != nil && !c.isPeer(server, t) {
		return afterReset(which, key)
	}
	c := b.at(which, server, t.Cookie)
	if isTold {
		c.know(key)
		if from != (port{}) && c.ends[client].cookie == 0 && len(b.awaited) < maxLone {
			b.awaited[from], c.from = c, from
		}
	}
	return c
}

// afterReset is a connection that its client has reset. The client's port may be of
// another connection by now: this one is apart.
func afterReset(which tuple, key Key) *conn {
	c := &conn{tuple: which, key: key, isKnown: true}
	c.ends[client] = end{isOver: true, wasReset: true}
	return c
}

// caller is who has connected to a server's socket, if the address tells it, or nobody
// else connects there. from is the port of one that has a namespace for itself.
func (b *Book) caller(id Space, t sockdiag.Traffic) (k Key, from port, ok bool) {
	if owner, ok := b.owners[t.Remote.Addr()]; ok {
		return Key{owner.instance, t.Local}, port{owner.space, t.Remote.Port()}, true
	}
	if !t.Remote.Addr().IsLoopback() {
		return Key{}, port{}, false
	}
	k, isOnly, ok := b.firstAt(place{id, t.Local})
	return k, port{}, ok && isOnly
}

// takeReset tells whether the client's end of a connection was told already, and was
// reset: a moment ago, for of a connect that was refused the kernel tells the same.
func (b *Book) takeReset(which tuple, caller Key, from port, now time.Time) (k Key, ok bool) {
	if r, ok := b.resets.get(which); ok {
		b.resets.drop(which)
		return r.Key, now.Sub(r.at) < loneTime
	}
	if at, ok := b.portResets.get(from); ok && from != (port{}) {
		b.portResets.drop(from)
		return caller, now.Sub(at) < loneTime
	}
	return k, false
}

func (c *conn) know(k Key) {
	if !c.isKnown {
		c.key, c.isKnown = k, true
	}
}

// at returns the connection of this tuple. One with another socket at this end is
// older, and over.
func (b *Book) at(which tuple, s side, cookie uint64) *conn {
	c := b.conns[which]
	if c != nil && c.ends[s].cookie != 0 && c.ends[s].cookie != cookie {
		b.finish(c)
		c = nil
	}
	if c == nil {
		c = &conn{tuple: which}
		b.conns[which] = c
	}
	return c
}

// over notes that an end is.
func (b *Book) over(c *conn, s side, now time.Time) {
	c.ends[s].isOver = true
	b.count(c)
	switch {
	case c.ends[s.other()].isOver:
		b.finish(c)
	case c.isLone():
		b.lone = append(b.lone, lone{c, now, b.sweeps})
		if len(b.lone) > maxLone {
			b.dropLone()
		}
	}
}

// count has the flow know what the connection has.
func (b *Book) count(c *conn) {
	if !c.isKnown {
		return
	}
	f, now := b.flow(c.key), c.counts()
	now = Counts{max(now.Sent, c.counted.Sent), max(now.Received, c.counted.Received)}
	f.Add(Counts{now.Sent - c.counted.Sent, now.Received - c.counted.Received})
	c.counted = now
}

// finish forgets a connection that is over.
func (b *Book) finish(c *conn) {
	b.count(c)
	if c.isKnown {
		b.flow(c.key).Closed.Add(Counts{c.counted.Sent - c.closed.Sent, c.counted.Received - c.closed.Received})
		c.closed = c.counted
	}
	if b.conns[c.tuple] == c {
		delete(b.conns, c.tuple)
	}
	if b.awaited[c.from] == c {
		delete(b.awaited, c.from)
	}
}

// flow is where a key is counted: beyond the bound with all others of the client.
func (b *Book) flow(k Key) *Flow {
	f := b.flows[k]
	if f == nil && len(b.flows) >= maxFlows {
		k.Server = netip.AddrPort{}
		f = b.flows[k]
	}
	if f == nil {
		f = &Flow{Key: k}
		b.flows[k] = f
	}
	return f
}
