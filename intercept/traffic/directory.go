package traffic

import (
	"net/netip"
	"sync"
)

// directory is what the interceptor tells. It has a lock of its own, so that no
// connect waits while accounts are made.
type directory struct {
	mu        sync.Mutex
	claims    recent[socket, Claim]
	endpoints map[netip.AddrPort]struct{}
	clients   map[place]clients
}

// place is an endpoint on a loopback.
type place struct {
	space Space
	at    netip.AddrPort
}

// clients are who connects to a place.
type clients struct {
	first   Key
	hasMore bool // others than the first
}

func newDirectory() *directory {
	return &directory{endpoints: map[netip.AddrPort]struct{}{}, clients: map[place]clients{}}
}

// isOnly notes that a client connects to a place, and tells whether nobody else does.
func (d *directory) isOnly(p place, k Key) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	known, is := d.clients[p]
	switch {
	case !is && len(d.clients) < maxEndpoints:
		d.clients[p] = clients{first: k}
		return true
	case !is || known.hasMore:
		return false
	case known.first == k:
		return true
	}
	d.clients[p] = clients{known.first, true}
	return false
}

// firstAt is who has connected to a place first; isOnly: and nobody else since.
func (d *directory) firstAt(p place) (k Key, isOnly, is bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	known, is := d.clients[p]
	return known.first, !known.hasMore, is
}

func (d *directory) know(at netip.AddrPort) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.endpoints) < maxEndpoints {
		d.endpoints[at] = struct{}{}
	}
}

func (d *directory) knows(at netip.AddrPort) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, ok := d.endpoints[at]
	return ok
}

func (d *directory) claim(s socket, c Claim) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.claims.put(s, c)
}

func (d *directory) claimOf(s socket) (Claim, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.claims.get(s)
}

func (d *directory) drop(s socket) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.claims.drop(s)
}
