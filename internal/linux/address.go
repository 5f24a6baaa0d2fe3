package linux

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// AddAddress gives an interface one more IPv4 address, for this host alone: no
// route to others comes with it. An address that it has already is no error. It
// goes with the interface. Needs CAP_NET_ADMIN (rtnetlink(7), RTM_NEWADDR).
func AddAddress(device string, addr netip.Addr) error {
	const flags = netlink.Create | netlink.Excl
	err := changeAddress(unix.RTM_NEWADDR, flags, device, addr)
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("add %s to %s: %w", addr, device, err)
	}
	return nil
}

// RemoveAddress takes an address of AddAddress away. An interface or an address
// that is gone already is no error.
func RemoveAddress(device string, addr netip.Addr) error {
	if _, err := net.InterfaceByName(device); err != nil {
		return nil //nolint:nilerr // there is no such interface, or none can be asked for
	}
	err := changeAddress(unix.RTM_DELADDR, 0, device, addr)
	if err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("remove %s from %s: %w", addr, device, err)
	}
	return nil
}

func changeAddress(kind netlink.HeaderType, flags netlink.HeaderFlags, device string, addr netip.Addr) error {
	on, err := net.InterfaceByName(device)
	if err != nil {
		return err
	}
	attributes := netlink.NewAttributeEncoder()
	b := addr.As4()
	attributes.Bytes(unix.IFA_LOCAL, b[:])
	attributes.Bytes(unix.IFA_ADDRESS, b[:])
	data, err := attributes.Encode()
	if err != nil {
		return err
	}
	// struct ifaddrmsg: family, prefix length, flags, scope, index.
	head := []byte{unix.AF_INET, 32, 0, unix.RT_SCOPE_UNIVERSE, 0, 0, 0, 0}
	binary.NativeEndian.PutUint32(head[4:], uint32(on.Index)) //nolint:gosec // the kernel's own number
	conn, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		return err
	}
	_, err = conn.Execute(netlink.Message{
		Header: netlink.Header{Type: kind, Flags: netlink.Request | netlink.Acknowledge | flags},
		Data:   append(head, data...),
	})
	return errors.Join(err, conn.Close())
}
