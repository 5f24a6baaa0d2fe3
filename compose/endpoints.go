package compose

import (
	"encoding/binary"
	"fmt"
	"iter"
	"net/netip"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"
)

// bits6 is how much of an IPv6 subnet is used: people can read the addresses,
// and the engine, which gives the lowest free one to a container without a
// fixed address, does not get that far. (A range for those, as in IPv4, is no
// way: engines refuse one that ends with the subnet.)
const bits6 = 16

// family is what differs between the addresses of IPv4 and IPv6.
type family struct {
	is    func(netip.Addr) bool
	key   string // of a user's own address
	given func(*types.ServiceNetworkConfig) string
	field func(*Endpoint) *netip.Addr
}

func families() []family {
	return []family{
		{
			netip.Addr.Is4, "ipv4_address",
			func(c *types.ServiceNetworkConfig) string { return c.Ipv4Address },
			func(e *Endpoint) *netip.Addr { return &e.Addr },
		},
		{
			netip.Addr.Is6, "ipv6_address",
			func(c *types.ServiceNetworkConfig) string { return c.Ipv6Address },
			func(e *Endpoint) *netip.Addr { return &e.Addr6 },
		},
	}
}

// place is a container's endpoint in the network that is being planned.
type place struct {
	service   *Service
	container string
	config    *types.ServiceNetworkConfig // may be nil
	endpoint  *Endpoint
}

// assign gives the containers on the network their addresses: the user's own,
// then those that they have already, then free ones in the order of services
// and instances.
func (n *subnet) assign(plan *Plan, configs types.Services, existing map[string]map[string][]netip.Addr) error {
	var places []place
	for i := range plan.Services {
		s := &plan.Services[i]
		for j := range s.Instances {
			instance := &s.Instances[j]
			for k := range instance.Endpoints {
				if e := &instance.Endpoints[k]; e.Network == n.Key {
					places = append(places, place{s, instance.ContainerName, configs[s.Name].Networks[n.Key], e})
				}
			}
		}
	}
	for _, f := range families() {
		a := allocation{subnet: n, family: f, taken: map[netip.Addr]string{}}
		if err := a.run(places, existing); err != nil {
			return err
		}
	}
	return nil
}

// allocation is the assignment of one family.
type allocation struct {
	*subnet
	family
	taken map[netip.Addr]string // to the service whose own it is, "" if nobody's here
}

func (a *allocation) run(places []place, existing map[string]map[string][]netip.Addr) error {
	for _, addr := range a.reserved {
		a.taken[addr] = ""
	}
	for _, p := range places {
		if err := a.takeGiven(p); err != nil {
			return err
		}
	}
	prefix := firstOf(a.Subnets, a.is)
	if !a.Fixed || !prefix.IsValid() || prefix.Addr().Is6() && a.no6 {
		return nil
	}
	for _, p := range places {
		a.keepAddress(p, prefix, existing[p.container][a.Name])
	}
	for _, addr := range a.existing.Used {
		a.taken[addr] = ""
	}
	for _, networks := range existing {
		for _, addr := range networks[a.Name] {
			a.taken[addr] = ""
		}
	}
	return a.fill(places, prefix)
}

// takeGiven takes over a user's own address.
func (a *allocation) takeGiven(p place) error {
	if p.config == nil || a.given(p.config) == "" {
		return nil
	}
	text := a.given(p.config)
	path := fmt.Sprintf("services.%s.networks.%s.%s", p.service.Name, a.Key, a.key)
	addr, err := netip.ParseAddr(text)
	switch other, taken := a.taken[addr]; {
	case err != nil || !a.is(addr):
		return fieldErrorf(path, "%q is no address of that kind", text)
	case len(p.service.Instances) > 1:
		return fieldErrorf(path, "%d containers cannot have one address", len(p.service.Instances))
	case taken && other != "":
		return fieldErrorf(path, "%s is the address of service %q too", addr, other)
	case !a.takes(addr):
		if a.External {
			return fieldErrorf(path, "the network %s has no subnet that holds %s", a.Name, addr)
		}
		return fieldErrorf(path, "networks.%s has no subnet in its ipam that holds %s", a.Key, addr)
	}
	*a.field(p.endpoint) = addr
	a.taken[addr] = p.service.Name
	return nil
}

// takes reports whether the engine may accept a user's address: one within a
// subnet that was configured, as far as that is known.
func (a *allocation) takes(addr netip.Addr) bool {
	known := a.subnets
	if a.External {
		known = a.existing.Subnets
	}
	if a.odd || a.External && !a.existing.Configured {
		return true
	}
	return slices.ContainsFunc(known, func(prefix netip.Prefix) bool { return prefix.Contains(addr) })
}

// keepAddress leaves a container the address that it has.
func (a *allocation) keepAddress(p place, prefix netip.Prefix, has []netip.Addr) {
	field := a.field(p.endpoint)
	for _, addr := range has {
		if _, taken := a.taken[addr]; !taken && !field.IsValid() && prefix.Contains(addr) {
			*field = addr
			a.taken[addr] = p.service.Name
		}
	}
}

// fill gives an address to whoever has none.
func (a *allocation) fill(places []place, prefix netip.Prefix) error {
	places = slices.DeleteFunc(slices.Clone(places), func(p place) bool { return a.field(p.endpoint).IsValid() })
	candidates := a.fromTop(prefix)
	if slices.Contains(a.chosen, prefix) && prefix.Addr().Is4() {
		candidates = a.fromBottom(prefix)
	}
	for addr := range candidates {
		if len(places) == 0 {
			return nil
		}
		if _, taken := a.taken[addr]; !taken {
			*a.field(places[0].endpoint) = addr
			places = places[1:]
		}
	}
	if len(places) > 0 {
		return fieldErrorf("networks."+a.Key, "subnet %s has no free address for %s", prefix, places[0].container)
	}
	return nil
}

// fromBottom lists the addresses of a chosen IPv4 subnet that are for
// containers of the plan.
func (a *allocation) fromBottom(prefix netip.Prefix) iter.Seq[netip.Addr] {
	return func(yield func(netip.Addr) bool) {
		for n := range uint64(room(prefix)) { //nolint:gosec // room is not negative.
			if !yield(nth(prefix, firstAddress+n)) {
				return
			}
		}
	}
}

// fromTop lists the addresses of a subnet from the last one down, for the
// engine takes the lowest for other containers, from the user's ip_range if
// there is one: so that range comes last.
func (a *allocation) fromTop(prefix netip.Prefix) iter.Seq[netip.Addr] {
	return func(yield func(netip.Addr) bool) {
		top, low, high := last(prefix), uint64(0), uint64(0)
		if a.DynamicRange.IsValid() && prefix.Contains(a.DynamicRange.Addr()) && prefix.Addr().Is4() {
			low = offset(prefix, a.DynamicRange.Addr())
			high = min(low+1<<(32-max(a.DynamicRange.Bits(), prefix.Bits())), top+1)
		}
		for _, part := range [][2]uint64{{high, top + 1}, {1, low}, {max(low, 1), high}} {
			for n := part[1]; n > part[0]; n-- {
				if addr := nth(prefix, n-1); n > 1 && !yield(addr) {
					return
				}
			}
		}
	}
}

// last is the number of the last address to use; 0 if there is none.
func last(prefix netip.Prefix) uint64 {
	bits := prefix.Addr().BitLen() - prefix.Bits()
	if prefix.Addr().Is6() {
		bits = min(bits, bits6)
	}
	if bits < 2 {
		return 0
	}
	return 1<<bits - 2
}

// offset is the number of an IPv4 address within a prefix.
func offset(prefix netip.Prefix, addr netip.Addr) uint64 {
	base, at := prefix.Addr().As4(), addr.As4()
	return uint64(binary.BigEndian.Uint32(at[:]) - binary.BigEndian.Uint32(base[:]))
}
