package compose

import (
	"encoding/binary"
	"net/netip"
	"slices"
)

// firstAddress is the offset of the first instance's address: the prefix's own
// address and the next are left to upall.
const firstAddress = 2

// pair are the two addresses of a process, see Instance.
type pair struct{ first, second netip.Addr }

// assignAddresses gives every process a primary address, counted from the
// prefix's third in the order of services and instances, and a second one half
// the prefix above it. One that runs already keeps its own.
func assignAddresses(services []Service, prefix netip.Prefix, kept kept) error {
	processes := kept.count(prefix)
	for _, service := range services {
		if service.Runtime == Process {
			processes += len(service.Instances)
		}
	}
	if !hasProcesses(services) {
		return nil
	}
	if !prefix.IsValid() || !prefix.Addr().Is4() || !prefix.Addr().IsLoopback() || prefix.Bits() < 8 {
		return fieldErrorf("", "address prefix %q is not a prefix within 127.0.0.0/8", prefix)
	}
	prefix = prefix.Masked()
	size := uint64(1) << (32 - prefix.Bits())
	half := size / 2
	if uint64(processes)+firstAddress > half {
		room := uint64(0)
		if half > firstAddress {
			room = half - firstAddress
		}
		return fieldErrorf("", "address prefix %s has room for %d processes, and the project has %d", prefix, room, processes)
	}
	bytes := prefix.Addr().As4()
	next := binary.BigEndian.Uint32(bytes[:]) + firstAddress
	kept.assign(services, prefix.Contains, func() (p pair) {
		//nolint:gosec // half is at most 2^23: the prefix lies within a /8.
		p = pair{addr4(next), addr4(next + uint32(half))}
		next++
		return p
	})
	return nil
}

func hasProcesses(services []Service) bool {
	return slices.ContainsFunc(services, func(s Service) bool { return s.Runtime == Process })
}

// kept are the processes that run already, by name.
type kept map[string]Instance

// count tells how many have their addresses in the prefix.
func (k kept) count(prefix netip.Prefix) (n int) {
	for _, i := range k {
		if prefix.Contains(i.Addr) {
			n++
		}
	}
	return n
}

// assign gives processes their addresses: those that they have, where that is
// still right, else the next that no other has.
func (k kept) assign(services []Service, isRight func(netip.Addr) bool, next func() pair) {
	used := map[netip.Addr]bool{}
	for _, i := range k {
		used[i.Addr], used[i.Addr2] = true, true
	}
	for n := range services {
		if services[n].Runtime != Process {
			continue
		}
		for m := range services[n].Instances {
			i := &services[n].Instances[m]
			p := pair{k[i.Name].Addr, k[i.Name].Addr2}
			isKept := p.first.IsValid() && isRight(p.first) && isRight(p.second)
			for !isKept && (!p.first.IsValid() || used[p.first] || used[p.second]) {
				p = next()
			}
			i.Addr, i.Addr2 = p.first, p.second
		}
	}
}

func addr4(n uint32) netip.Addr {
	var bytes [4]byte
	binary.BigEndian.PutUint32(bytes[:], n)
	return netip.AddrFrom4(bytes)
}
