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
	on, err := net.InterfaceByName(device)
	if err != nil {
		return fmt.Errorf("add %s to %s: %w", addr, device, err)
	}
	conn, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		return fmt.Errorf("add %s to %s: %w", addr, device, err)
	}
	attributes := netlink.NewAttributeEncoder()
	b := addr.As4()
	attributes.Bytes(unix.IFA_LOCAL, b[:])
	attributes.Bytes(unix.IFA_ADDRESS, b[:])
	data, err := attributes.Encode()
	if err != nil {
		return errors.Join(err, conn.Close())
	}
	// struct ifaddrmsg: family, prefix length, flags, scope, index.
	head := []byte{unix.AF_INET, 32, 0, unix.RT_SCOPE_UNIVERSE, 0, 0, 0, 0}
	binary.NativeEndian.PutUint32(head[4:], uint32(on.Index)) //nolint:gosec // the kernel's own number
	_, err = conn.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.RTM_NEWADDR, Flags: netlink.Request | netlink.Acknowledge | netlink.Create | netlink.Excl},
		Data:   append(head, data...),
	})
	if errors.Is(err, unix.EEXIST) {
		err = nil
	}
	if err = errors.Join(err, conn.Close()); err != nil {
		return fmt.Errorf("add %s to %s: %w", addr, device, err)
	}
	return nil
}
