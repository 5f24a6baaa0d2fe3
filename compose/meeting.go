package compose

import (
	"net/netip"
	"slices"
)

// A process and a container reach each other in the meeting: the first network
// whose bridge is on the host and in which upall gives addresses. There the
// host takes an address more for each process, in the place of a loopback one,
// and the containers of every network of the host reach it.

// meet gives the processes their addresses in the meeting, from the top of what
// is for fixed addresses down: they stay the same while containers come and go.
func meet(plan *Plan, subnets []*subnet, kept kept) error {
	n := slices.IndexFunc(subnets, (*subnet).isMeeting)
	if n < 0 || processCount(plan) == 0 {
		return nil
	}
	net := subnets[n]
	net.Meeting = true
	prefix := firstOf(net.Subnets, netip.Addr.Is4)
	taken := net.takenBy(plan)
	var free []netip.Addr
	a := allocation{subnet: net}
	candidates := a.fromTop(prefix)
	if slices.Contains(net.chosen, prefix) {
		candidates = a.fromBottom(prefix)
	}
	for addr := range candidates {
		if !slices.Contains(taken, addr) {
			free = append(free, addr)
		}
	}
	if len(free) < 2*processCount(plan)+4*kept.count(prefix) { // a kept pair may spoil two others
		return fieldErrorf("networks."+net.Key, "subnet %s has no free addresses for the project's processes", prefix)
	}
	if slices.Contains(net.chosen, prefix) {
		slices.Reverse(free)
	}
	all := free
	isRight := func(addr netip.Addr) bool { return slices.Contains(all, addr) }
	kept.assign(plan.Services, isRight, func() pair {
		next := pair{free[0], free[1]}
		free = free[2:]
		return next
	})
	return nil
}

// isMeeting: in others' networks somebody else may take an address meanwhile.
func (n *subnet) isMeeting() bool { return n.Fixed && n.ofHost() && !n.External }

func (n *subnet) takenBy(plan *Plan) []netip.Addr {
	taken := slices.Clone(n.reserved)
	taken = append(taken, n.existing.Used...)
	for _, s := range plan.Services {
		for _, i := range s.Instances {
			for _, e := range i.Endpoints {
				if e.Network == n.Key {
					taken = append(taken, e.Addr)
				}
			}
		}
	}
	return taken
}

func processCount(plan *Plan) int {
	count := 0
	for _, s := range plan.Services {
		if s.Runtime == Process {
			count += len(s.Instances)
		}
	}
	return count
}
