package linux

import (
	"net"
	"net/netip"
	"slices"
	"testing"
)

// On the loopback interface, with an address that is for documentation alone
// (RFC 5737).
func TestAddAddress(t *testing.T) {
	const device = "lo"
	addr := netip.MustParseAddr("192.0.2.213")
	if err := AddAddress(device, addr); err != nil {
		t.Skip(err) // needs CAP_NET_ADMIN
	}
	t.Cleanup(func() { _ = RemoveAddress(device, addr) })
	if !hasAddress(t, addr) {
		t.Fatal("the address is not there")
	}
	if err := AddAddress(device, addr); err != nil {
		t.Errorf("add it again: %v", err)
	}
	for range 2 {
		if err := RemoveAddress(device, addr); err != nil {
			t.Errorf("remove it: %v", err)
		}
	}
	if hasAddress(t, addr) {
		t.Error("the address is still there")
	}
	if err := RemoveAddress("no-such-device", addr); err != nil {
		t.Errorf("remove it from an interface that is gone: %v", err)
	}
}

func hasAddress(t *testing.T, addr netip.Addr) bool {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(all, func(a net.Addr) bool { return a.String() == addr.String()+"/32" })
}
