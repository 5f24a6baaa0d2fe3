package compose

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"net/netip"
	"slices"
	"strings"
)

// Sizes of chosen subnets. One for IPv4 has as many containers as most networks
// ever have; where that does not do, it is the next size up to the widest.
const (
	usualBits  = 24
	bitsStep   = 4
	widestBits = 16
	ulaBits    = 64 // IPv6
)

// maxTries bounds the search for an IPv6 subnet, of which there are so many
// that only a route to all of them can make it long.
const maxTries = 1024

// defaultPools are where subnets are chosen. The engine itself takes from
// 172.17.0.0/12 on and 192.168.0.0/16 unless it is told else, so those come
// only when the first has no room, as with a route to all of 10.0.0.0/8.
func defaultPools() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("10.64.0.0/10"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16"),
	}
}

// chooser chooses subnets that are in nobody's way.
type chooser struct {
	project string
	pools   []netip.Prefix
	used    []netip.Prefix // by networks of this plan
	taken   []netip.Prefix // by others, and by networks that are replaced
}

func (o PlanOptions) chooser(project string, subnets []*subnet) *chooser {
	c := &chooser{project: project, pools: o.Pools}
	for _, prefix := range o.Taken {
		if prefix.Bits() > 0 { // a default route takes nothing
			c.taken = append(c.taken, prefix)
		}
	}
	if c.pools == nil {
		c.pools = defaultPools()
	}
	for _, net := range subnets {
		c.used = append(c.used, net.Subnets...)
	}
	for _, existing := range o.Networks {
		c.taken = append(c.taken, existing.Subnets...)
	}
	return c
}

// mayKeep: the routes of an existing network are its own, so only the plan's
// other subnets can be in its way.
func (c *chooser) mayKeep(prefix netip.Prefix) bool { return !overlaps(c.used, prefix) }

func (c *chooser) free(prefix netip.Prefix) bool {
	return !overlaps(c.used, prefix) && !overlaps(c.taken, prefix)
}

func overlaps(prefixes []netip.Prefix, prefix netip.Prefix) bool {
	return slices.ContainsFunc(prefixes, prefix.Overlaps)
}

// v4 chooses an IPv4 subnet with room for containers. It begins at a place that
// depends on the project and the network alone: so a network gets the same
// subnet again, and two projects rarely want the same one.
func (c *chooser) v4(network string, containers int) (netip.Prefix, bool) {
	bits := bitsFor(containers)
	for _, pool := range c.pools {
		if bits < pool.Bits() || bits < widestBits || !pool.Addr().Is4() {
			continue
		}
		blocks := uint64(1) << (bits - pool.Bits())
		first := c.hash(network) % blocks
		for i := range blocks {
			addr := nth(pool.Masked(), (first+i)%blocks<<(32-bits))
			if prefix := netip.PrefixFrom(addr, bits); c.free(prefix) {
				return prefix, true
			}
		}
	}
	return netip.Prefix{}, false
}

// bitsFor is the size of a subnet with room for containers.
func bitsFor(containers int) int {
	bits := usualBits
	for bits >= widestBits && room(netip.PrefixFrom(netip.IPv4Unspecified(), bits)) < containers {
		bits -= bitsStep
	}
	return bits
}

// exhausted says what was looked for.
func (c *chooser) exhausted(containers int) string {
	bits := bitsFor(containers)
	if bits < widestBits {
		return fmt.Sprintf("%d containers are more than a /%d has room for", containers, widestBits)
	}
	var pools []string
	for _, pool := range c.pools {
		pools = append(pools, pool.String())
	}
	return fmt.Sprintf("no free /%d in %s", bits, strings.Join(pools, ", "))
}

// v6 chooses a unique local subnet (RFC 4193).
func (c *chooser) v6(network string) (netip.Prefix, bool) {
	var bytes [16]byte
	first := c.hash(network)
	for i := range uint64(maxTries) {
		binary.BigEndian.PutUint64(bytes[:8], first+i)
		bytes[0] = 0xfd
		if prefix := netip.PrefixFrom(netip.AddrFrom16(bytes), ulaBits); c.free(prefix) {
			return prefix, true
		}
	}
	return netip.Prefix{}, false
}

func (c *chooser) hash(network string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(c.project + "\x00" + network)) // never fails (hash.Hash)
	return h.Sum64()
}

// nth is the prefix's address with number n, of 64 bits at most.
func nth(prefix netip.Prefix, n uint64) netip.Addr {
	addr := prefix.Addr()
	if addr.Is4() {
		bytes := addr.As4()
		return addr4(binary.BigEndian.Uint32(bytes[:]) + uint32(n)) //nolint:gosec // n lies within the prefix.
	}
	bytes := addr.As16()
	binary.BigEndian.PutUint64(bytes[8:], binary.BigEndian.Uint64(bytes[8:])+n)
	return netip.AddrFrom16(bytes)
}
