package intercept

import (
	"net/netip"
	"testing"

	"upall/intercept/registry"
)

// TestFind: what a connect means, by who makes it and to where.
func TestFind(t *testing.T) {
	addrs := func(as ...string) (list []netip.Addr) {
		for _, a := range as {
			list = append(list, netip.MustParseAddr(a))
		}
		return list
	}
	lo := netip.MustParseAddr("::1%pod")
	instances := map[string]*instance{
		"process":   {Instance: Instance{Rewrite: true, OnHost: true, Instance: registry.Instance{Addrs: addrs("127.77.0.1"), Ports: []uint16{80}}}},
		"host":      {Instance: Instance{OnHost: true, Loopback: lo, Instance: registry.Instance{Ports: []uint16{80}}}},
		"pod":       {Instance: Instance{Loopback: lo, Instance: registry.Instance{Addrs: addrs("10.0.0.1")}}},
		"container": {Instance: Instance{Instance: registry.Instance{Addrs: addrs("10.0.0.2")}}},
	}
	for _, n := range instances {
		n.view.Store(&n.Instance)
	}
	r := newRoutes(map[netip.Addr]struct{}{netip.MustParseAddr("192.0.2.1"): {}})
	for _, a := range addrs("127.77.0.1", "10.0.0.1", "10.0.0.2") {
		r.project[a] = struct{}{}
	}
	at := netip.MustParseAddrPort
	r.open[at("[::1%pod]:9000")] = at("127.0.0.1:9000")
	r.listens[at("[::1%pod]:9000")] = struct{}{}
	r.open[at("10.0.0.2:5432")] = at("10.0.0.2:5432")
	for published, target := range map[string]string{
		"0.0.0.0:80": "10.0.0.2:80", "0.0.0.0:9000": "10.0.0.2:9000", "0.0.0.0:81": "10.0.0.2:8081",
		"0.0.0.0:5433": "10.0.0.2:5432", "127.0.0.1:81": "10.0.0.2:8181",
	} {
		r.published[at(published)] = at(target)
	}
	for _, test := range []struct{ from, to, target, goes string }{
		{"process", "127.0.0.1:80", "127.77.0.1:80", "elsewhere"}, // its own
		{"process", "127.0.0.1:81", "10.0.0.2:8181", "127.0.0.1:81"},
		{"process", "[::1]:81", "10.0.0.2:8081", "[::1]:81"},
		{"process", "0.0.0.0:81", "10.0.0.2:8181", "127.0.0.1:81"},
		{"process", "192.0.2.1:9000", "10.0.0.2:9000", "192.0.2.1:9000"},
		{"process", "127.0.0.1:5433", "10.0.0.2:5432", "passes"}, // it is open
		{"process", "127.0.0.1:7000", "", "passes"},
		{"process", "198.51.100.1:81", "", "passes"},
		{"process", "10.0.0.2:81", "10.0.0.2:81", "elsewhere"},
		{"process", "10.0.0.2:5432", "10.0.0.2:5432", "passes"},
		{"host", "127.0.0.1:80", "[::1%pod]:80", "127.0.0.1:80"}, // it has declared it
		{"host", "127.0.0.1:9000", "[::1%pod]:9000", "passes"},   // who shares it listens
		{"host", "127.0.0.1:81", "10.0.0.2:8181", "127.0.0.1:81"},
		{"host", "127.0.0.1:7000", "[::1%pod]:7000", "127.0.0.1:7000"},
		{"host", "192.0.2.1:7000", "", "passes"},
		{"pod", "127.0.0.1:81", "[::1%pod]:81", "127.0.0.1:81"}, // not the host's
		{"pod", "[::]:81", "[::1%pod]:81", "[::1]:81"},
		{"pod", "127.0.0.11:53", "", "passes"},
		{"pod", "192.0.2.1:81", "", "passes"},
		{"pod", "10.0.0.1:81", "10.0.0.1:81", "elsewhere"},
		{"container", "127.0.0.1:81", "", "passes"},
	} {
		t.Run(test.from+" "+test.to, func(t *testing.T) {
			got := r.find(instances[test.from], at(test.to))
			goes := "elsewhere"
			if got.to.IsValid() {
				goes = got.to.String()
			}
			if got.passes {
				goes = "passes"
			}
			if goes != test.goes || (test.target != "" && got.target != at(test.target)) {
				t.Errorf("it means %v and goes %s, want %s and %s", got.target, goes, test.target, test.goes)
			}
		})
	}
	instances["process"].gated.Store(true)
	if r.find(instances["process"], at("127.0.0.1:5433")).passes {
		t.Error("a closed gate lets a connect to a published port pass")
	}
}
