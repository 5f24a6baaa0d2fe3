package compose

import (
	"net/netip"
	"strings"
	"testing"
)

func TestSubnetSizes(t *testing.T) {
	cases := []struct{ containers, bits int }{
		{0, 24}, {126, 24}, {127, 20}, {2046, 20}, {2047, 16}, {32766, 16},
	}
	for _, c := range cases {
		choice := PlanOptions{}.chooser("p", nil)
		prefix, ok := choice.v4("net", c.containers)
		if !ok || prefix.Bits() != c.bits || room(prefix) < c.containers {
			t.Errorf("%d containers: %s (%t)", c.containers, prefix, ok)
		}
	}
	if prefix, ok := (PlanOptions{}).chooser("p", nil).v4("net", 32767); ok {
		t.Errorf("32767 containers: %s", prefix)
	}
}

// TestChooserSpreads: projects rarely want the same subnet, and one that is
// taken is followed by its neighbour.
func TestChooserSpreads(t *testing.T) {
	seen := map[netip.Prefix]bool{}
	for _, project := range []string{"a", "b", "shop", "shop2", "app", "app1", "app2", "demo"} {
		prefix, _ := PlanOptions{}.chooser(project, nil).v4(project+"_default", 1)
		if seen[prefix] {
			t.Errorf("%s has the subnet of another", project)
		}
		seen[prefix] = true
	}
	first, _ := PlanOptions{}.chooser("a", nil).v4("net", 1)
	next, _ := PlanOptions{Taken: []netip.Prefix{first}}.chooser("a", nil).v4("net", 1)
	if want := nth(first, 256); next.Addr() != want {
		t.Errorf("got %s after %s", next, first)
	}
	ula, _ := PlanOptions{}.chooser("a", nil).v6("net")
	if next, ok := (PlanOptions{Taken: []netip.Prefix{ula}}).chooser("a", nil).v6("net"); !ok || next == ula || !strings.HasPrefix(next.String(), "fd") {
		t.Errorf("got %s after %s", next, ula)
	}
	if prefix, ok := (PlanOptions{Taken: prefixes("fd00::/8")}).chooser("a", nil).v6("net"); ok {
		t.Errorf("got %s, and all are taken", prefix)
	}
}

// TestFromTop: the user's ip_range comes last.
func TestFromTop(t *testing.T) {
	cases := []struct{ prefix, dynamic, want string }{
		{"10.0.0.0/29", "", "6 5 4 3 2 1"},
		{"10.0.0.0/29", "10.0.0.4/30", "3 2 1 6 5 4"},
		{"10.0.0.0/29", "10.0.0.2/31", "6 5 4 1 3 2"},
		{"10.0.0.0/29", "10.0.0.0/30", "6 5 4 3 2 1"},
		{"10.0.0.0/29", "10.0.0.0/24", "6 5 4 3 2 1"},
		{"10.0.0.0/29", "10.1.0.0/30", "6 5 4 3 2 1"},
		{"10.0.0.0/30", "", "2 1"},
		{"10.0.0.0/31", "", ""},
		{"10.0.0.0/32", "", ""},
	}
	for _, c := range cases {
		a := allocation{subnet: &subnet{}}
		if c.dynamic != "" {
			a.DynamicRange = netip.MustParsePrefix(c.dynamic)
		}
		var got []string
		for addr := range a.fromTop(netip.MustParsePrefix(c.prefix)) {
			_, host, _ := strings.Cut(addr.String(), "10.0.0.")
			got = append(got, host)
		}
		if text := strings.Join(got, " "); text != c.want {
			t.Errorf("%s with %s: got %s, want %s", c.prefix, c.dynamic, text, c.want)
		}
	}
}
