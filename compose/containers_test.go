package compose

import (
	"net/netip"
	"testing"
)

func prefixes(texts ...string) []netip.Prefix {
	var parsed []netip.Prefix
	for _, text := range texts {
		parsed = append(parsed, netip.MustParsePrefix(text))
	}
	return parsed
}

func addrs(texts ...string) []netip.Addr {
	var parsed []netip.Addr
	for _, text := range texts {
		parsed = append(parsed, netip.MustParseAddr(text))
	}
	return parsed
}

// planCase is a plan of testdata/plan.
type planCase struct {
	name    string
	file    string // if it is not the name
	options PlanOptions
}

// containerCases are plans in which the engine has a say.
func containerCases() []planCase {
	return []planCase{
		{name: "containers"},
		{name: "subnets"},
		{name: "modes"},
		{name: "mixed"},
		{name: "external", options: PlanOptions{Networks: map[string]ExistingNetwork{
			"proxy":   {Subnets: prefixes("fd00:9::/64", "10.9.3.0/24"), Configured: true, Gateway: netip.MustParseAddr("10.9.3.254"), Used: addrs("10.9.3.253", "10.9.3.251", "fd00:9::1")},
			"engines": {Subnets: prefixes("172.18.0.0/16"), Used: addrs("172.18.0.2")},
			"given":   {Driver: "bridge", Subnets: prefixes("10.9.1.0/24"), Configured: true},
		}}},
		// What runs already keeps its addresses, but for one that is the gateway's
		// and one in no subnet. What is gone from the file keeps its own too.
		{name: "containers-again", file: "containers", options: PlanOptions{
			Scale: map[string]int{"web": 4, "none": 1, "cache": 2},
			Networks: map[string]ExistingNetwork{
				"plan_back":   {Subnets: prefixes("10.70.1.0/24"), Ours: true, Configured: true},
				"storefront":  {Subnets: prefixes("10.70.16.0/20"), Ours: true, Configured: true, Used: addrs("10.70.16.9", "10.70.16.4")},
				"plan_island": {Subnets: prefixes("172.20.0.0/16")},
			},
			Addresses: map[string]map[string][]netip.Addr{
				"plan-api-1":   {"plan_back": addrs("10.70.1.9"), "storefront": addrs("10.70.16.1")},
				"plan-web-1":   {"storefront": addrs("10.70.16.9")},
				"plan-web-3":   {"storefront": addrs("10.70.16.2")},
				"plan-gone-1":  {"plan_back": addrs("10.70.1.2"), "storefront": addrs("10.70.16.3")},
				"the-db":       {"plan_back": addrs("10.80.0.7")},
				"plan-cache-2": {"plan_back": addrs("10.70.1.1")},
			},
			Taken: prefixes("10.70.0.0/16", "0.0.0.0/0"),
		}},
		// Subnets that are too small, or in the user's way, are chosen anew.
		{name: "subnets-again", file: "subnets", options: PlanOptions{Networks: map[string]ExistingNetwork{
			"plan_chosen6": {Subnets: prefixes("fd00:77::/64", "10.3.0.0/25"), Ours: true},
			"plan_only6":   {Subnets: prefixes("10.77.0.0/30"), Ours: true},
			"plan_plain":   {Subnets: prefixes("10.77.0.0/24"), Ours: true},
		}}},
		{name: "containers-taken", file: "containers", options: PlanOptions{Taken: prefixes("10.0.0.0/8", "172.16.0.0/12")}},
		{name: "containers-pools", file: "containers", options: PlanOptions{Pools: prefixes("fd00::/8", "10.200.0.0/21"), Taken: prefixes("10.200.2.0/24")}},
	}
}

func TestPlanContainers(t *testing.T) {
	for _, c := range containerCases() {
		t.Run(c.name, func(t *testing.T) { checkPlan(t, c) })
	}
}
