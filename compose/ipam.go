package compose

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"
)

// ipam is what the file says of a network's addresses.
type ipam struct {
	subnets  []netip.Prefix
	dynamic  netip.Prefix // ip_range of the IPv4 subnet
	gateway  netip.Addr   // of the IPv4 subnet, as the engine has it
	reserved []netip.Addr // gateways and aux_addresses
	odd      bool         // a driver of its own, or a pool without a subnet: not upall's to complete
}

func readIPAM(path string, config types.IPAMConfig) (ipam, error) {
	read := ipam{odd: config.Driver != "" && config.Driver != "default"}
	for i, pool := range config.Config {
		if pool == nil || pool.Subnet == "" {
			read.odd = true
			continue
		}
		if err := read.add(fmt.Sprintf("%s.config[%d]", path, i), *pool); err != nil {
			return ipam{}, err
		}
	}
	read.subnets = sortFamilies(read.subnets)
	return read, nil
}

func (r *ipam) add(path string, pool types.IPAMPool) error {
	prefix, err := parseSubnet(path+".subnet", pool.Subnet)
	if err != nil {
		return err
	}
	dynamic := netip.Prefix{}
	if pool.IPRange != "" {
		if dynamic, err = parseSubnet(path+".ip_range", pool.IPRange); err != nil {
			return err
		}
	}
	given := map[string]string{}
	for name, addr := range pool.AuxiliaryAddresses {
		given["aux_addresses."+name] = addr
	}
	if pool.Gateway != "" {
		given["gateway"] = pool.Gateway
	}
	gateway := engineGateway(prefix, dynamic)
	err = firstByName(maps.Keys(given), func(key string) error {
		addr, err := netip.ParseAddr(given[key])
		if err != nil {
			return fieldErrorf(path+"."+key, "%q is no IP address", given[key])
		}
		if key == "gateway" {
			gateway = addr
		}
		r.reserved = append(r.reserved, addr)
		return nil
	})
	// Newer engines may take another gateway for a subnet with an ip_range: the
	// subnet's first address is left free for them.
	r.reserved = append(r.reserved, gateway, prefix.Addr().Next())
	if prefix.Addr().Is4() && firstOf(r.subnets, netip.Addr.Is4) == (netip.Prefix{}) {
		r.gateway, r.dynamic = gateway, dynamic
	}
	r.subnets = append(r.subnets, prefix)
	return err
}

// engineGateway is the gateway that the engine chooses: the first address of
// the range that it takes addresses from (20.10 and 26.1 do).
func engineGateway(prefix, dynamic netip.Prefix) netip.Addr {
	if dynamic.IsValid() && dynamic.Addr() != prefix.Addr() {
		return dynamic.Addr()
	}
	return prefix.Addr().Next()
}

func parseSubnet(path, text string) (netip.Prefix, error) {
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, fieldErrorf(path, "%q is no subnet (write it as 10.1.2.0/24)", text)
	}
	return prefix.Masked(), nil
}

// sortFamilies puts IPv4 before IPv6, and leaves the order else.
func sortFamilies(prefixes []netip.Prefix) []netip.Prefix {
	sorted := slices.Clone(prefixes)
	slices.SortStableFunc(sorted, func(a, b netip.Prefix) int { return a.Addr().BitLen() - b.Addr().BitLen() })
	return sorted
}

// firstOf returns the first prefix of a family; the zero Prefix if there is
// none.
func firstOf(prefixes []netip.Prefix, family func(netip.Addr) bool) netip.Prefix {
	for _, prefix := range prefixes {
		if family(prefix.Addr()) {
			return prefix
		}
	}
	return netip.Prefix{}
}
