package compose

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"
)

// subnet is a Network while it is planned.
type subnet struct {
	Network
	ipam
	existing     ExistingNetwork
	containers   int            // on it
	want4, want6 bool           // upall is to choose a subnet of the family
	no6          bool           // the engine ignores the IPv6 subnets
	chosen       []netip.Prefix // those of Subnets that upall chose
}

// planSubnets plans the networks that containers are on, sorted by key. Those
// that upall made before keep their subnets, so that addresses stay the same
// over runs; then subnets are chosen for the others.
func planSubnets(plan *Plan, networks types.Networks, o PlanOptions) ([]*subnet, error) {
	containers := map[string]int{}
	for _, s := range plan.Services {
		for _, network := range s.Networks {
			containers[network.Key] += len(s.Instances)
		}
	}
	for key := range containers { // any of them may be the meeting
		containers[key] += 2 * processCount(plan)
	}
	var subnets []*subnet
	err := firstByName(maps.Keys(containers), func(key string) error {
		net, err := newSubnet(key, networks[key], o.Networks)
		if err != nil {
			return err
		}
		net.containers = containers[key]
		subnets = append(subnets, net)
		return nil
	})
	if err != nil {
		return nil, err
	}
	choice := o.chooser(plan.Name, subnets)
	for _, net := range subnets {
		net.keep(choice)
	}
	for _, net := range subnets {
		if err := net.complete(choice); err != nil {
			return nil, err
		}
	}
	return subnets, nil
}

// newSubnet takes over what the file says and, for an external network, what
// the engine says.
func newSubnet(key string, config types.NetworkConfig, existing map[string]ExistingNetwork) (*subnet, error) {
	net := &subnet{Network: Network{Key: key, Name: config.Name, Driver: config.Driver, External: bool(config.External)}}
	if net.Name == "" {
		net.Name = key
	}
	net.existing = existing[net.Name]
	net.existing.Subnets = masked(net.existing.Subnets)
	if net.External {
		net.takeOver()
		return net, nil
	}
	var err error
	if net.ipam, err = readIPAM("networks."+key+".ipam", config.Ipam); err != nil {
		return nil, err
	}
	net.Subnets, net.DynamicRange, net.Gateway = net.subnets, net.dynamic, net.gateway
	has4, has6 := net.subnet4().IsValid(), firstOf(net.Subnets, netip.Addr.Is6).IsValid()
	if net.odd || config.EnableIPv4 != nil && !*config.EnableIPv4 {
		return net, nil
	}
	net.want4 = net.ofHost() && !has4
	net.no6 = config.EnableIPv6 == nil || !*config.EnableIPv6
	net.want6 = net.ofHost() && !has6 && !net.no6
	net.Fixed = has4 || net.want4
	return net, nil
}

// masked copies prefixes, without what an engine may say beyond them.
func masked(prefixes []netip.Prefix) []netip.Prefix {
	var all []netip.Prefix
	for _, prefix := range prefixes {
		all = append(all, prefix.Masked())
	}
	return all
}

// takeOver plans an external network: it is as it is.
func (n *subnet) takeOver() {
	n.Driver, n.Subnets, n.Gateway = n.existing.Driver, sortFamilies(n.existing.Subnets), n.existing.Gateway
	prefix := n.subnet4()
	n.Fixed = n.existing.Configured && prefix.IsValid()
	if n.Fixed && !n.Gateway.IsValid() {
		n.Gateway = prefix.Addr().Next()
	}
	for _, subnet := range n.Subnets {
		n.reserved = append(n.reserved, subnet.Addr().Next())
	}
	n.reserved = append(n.reserved, n.Gateway)
}

// subnet4 is the subnet of the IPv4 addresses; zero if there is none.
func (n *subnet) subnet4() netip.Prefix { return firstOf(n.Subnets, netip.Addr.Is4) }

// keep gives a network the subnets that it has already.
func (n *subnet) keep(choice *chooser) {
	if !n.existing.Ours || n.External {
		return
	}
	old4, old6 := firstOf(n.existing.Subnets, netip.Addr.Is4), firstOf(n.existing.Subnets, netip.Addr.Is6)
	if n.want4 && old4.IsValid() && room(old4) >= n.containers && choice.mayKeep(old4) {
		n.choose(old4, choice)
	}
	if n.want6 && old6.IsValid() && old6.Bits() <= ulaBits && choice.mayKeep(old6) {
		n.choose(old6, choice)
	}
}

// complete chooses the subnets that are still missing.
func (n *subnet) complete(choice *chooser) error {
	if n.want4 {
		prefix, ok := choice.v4(n.Name, n.containers)
		if !ok {
			return fieldErrorf("networks."+n.Key, "network pool exhausted: %s (give the network a subnet in ipam)", choice.exhausted(n.containers))
		}
		n.choose(prefix, choice)
	}
	if n.want6 {
		prefix, ok := choice.v6(n.Name)
		if !ok {
			return fieldErrorf("networks."+n.Key, "network pool exhausted: no free IPv6 subnet in fd00::/8 (give the network one in ipam)")
		}
		n.choose(prefix, choice)
	}
	n.Subnets = sortFamilies(n.Subnets)
	return nil
}

// choose adds a subnet of upall's choice. In one for IPv4 the upper half is
// left to the engine, for containers without a fixed address, so that those
// never take the fixed address of a container which is not up.
func (n *subnet) choose(prefix netip.Prefix, choice *chooser) {
	choice.used = append(choice.used, prefix)
	n.Subnets = append(slices.Clone(n.Subnets), prefix)
	n.chosen = append(n.chosen, prefix)
	n.reserved = append(n.reserved, prefix.Addr().Next())
	if prefix.Addr().Is6() {
		n.want6 = false
		return
	}
	n.want4 = false
	n.Gateway, n.DynamicRange = prefix.Addr().Next(), upperHalf(prefix)
}

// upperHalf of an IPv4 prefix.
func upperHalf(prefix netip.Prefix) netip.Prefix {
	return netip.PrefixFrom(nth(prefix, 1<<(31-prefix.Bits())), prefix.Bits()+1)
}

// room is how many containers a chosen IPv4 subnet has addresses for: the
// lower half but for the subnet's own address and the gateway.
func room(prefix netip.Prefix) int {
	if prefix.Bits() > 30 {
		return 0
	}
	return 1<<(31-prefix.Bits()) - firstAddress
}
