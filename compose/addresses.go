package compose

import (
	"encoding/binary"
	"net/netip"
)

// firstAddress is the offset of the first instance's address: the prefix's own
// address and the next are left to upall.
const firstAddress = 2

// assignAddresses gives every process a primary address, counted from the
// prefix's third in the order of services and instances, and a second one half
// the prefix above it.
func assignAddresses(services []Service, prefix netip.Prefix) error {
	processes := 0
	for _, service := range services {
		if service.Runtime == Process {
			processes += len(service.Instances)
		}
	}
	if processes == 0 {
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
	for i := range services {
		if services[i].Runtime != Process {
			continue
		}
		for j := range services[i].Instances {
			services[i].Instances[j].Addr = addr4(next)
			services[i].Instances[j].Addr2 = addr4(next + uint32(half)) //nolint:gosec // half is at most 2^23: the prefix lies within a /8.
			next++
		}
	}
	return nil
}

func addr4(n uint32) netip.Addr {
	var bytes [4]byte
	binary.BigEndian.PutUint32(bytes[:], n)
	return netip.AddrFrom4(bytes)
}
