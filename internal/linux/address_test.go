package linux_test

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"

	"upall/internal/linux"
	"upall/internal/testenv"
)

// On the loopback interface, with an address that is for documentation alone
// (RFC 5737).
func TestAddAddress(t *testing.T) {
	const device = "lo"
	addr := netip.MustParseAddr("192.0.2.213")
	err := linux.AddAddress(device, addr)
	testenv.Need(t, err == nil, fmt.Sprintf("CAP_NET_ADMIN (%v)", err))
	t.Cleanup(func() { _ = linux.RemoveAddress(device, addr) })
	if !hasAddress(t, addr) {
		t.Fatal("the address is not there")
	}
	if err := linux.AddAddress(device, addr); err != nil {
		t.Errorf("add it again: %v", err)
	}
	for range 2 {
		if err := linux.RemoveAddress(device, addr); err != nil {
			t.Errorf("remove it: %v", err)
		}
	}
	if hasAddress(t, addr) {
		t.Error("the address is still there")
	}
	if err := linux.RemoveAddress("no-such-device", addr); err != nil {
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
