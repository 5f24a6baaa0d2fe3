package forward

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"
)

// freePortTries is how often Open looks for a port that is free on all
// addresses before each gets one of its own.
const freePortTries = 16

// hostAddrs returns the addresses to listen on, and whether the file named
// them: then each must work.
func hostAddrs(hostIP string) (addrs []netip.Addr, isExplicit bool, err error) {
	var asked netip.Addr
	if hostIP != "" {
		if asked, err = netip.ParseAddr(hostIP); err != nil {
			return nil, false, fmt.Errorf("host address %q: %w", hostIP, err)
		}
		if !asked.IsUnspecified() {
			return []netip.Addr{asked}, true, nil
		}
	}
	interfaces, err := net.InterfaceAddrs()
	if err != nil {
		return nil, false, fmt.Errorf("list the host's addresses: %w", err)
	}
	return publicAddrs(interfaces, asked == netip.IPv4Unspecified()), false, nil
}

// publicAddrs picks those that a published port is served on, IPv4 first.
func publicAddrs(interfaces []net.Addr, isIPv4Only bool) []netip.Addr {
	var addrs []netip.Addr
	for _, a := range interfaces {
		prefix, err := netip.ParsePrefix(a.String())
		if err != nil {
			continue // not an IP network
		}
		addr := prefix.Addr().Unmap()
		switch {
		case isIPv4Only && !addr.Is4():
		case addr.IsLoopback() && addr != netip.AddrFrom4([4]byte{127, 0, 0, 1}) && addr != netip.IPv6Loopback():
		case addr.IsLinkLocalUnicast() || addr.IsMulticast() || addr.IsUnspecified():
		default:
			addrs = append(addrs, addr)
		}
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	return slices.Compact(addrs)
}

// listen opens a socket on each address. On an error none stays open.
func (f *Forwarder) listen(addrs []netip.Addr, isExplicit bool) error {
	port := f.config.Publish.HostPort
	isAnyPort := port == 0
	for try := 0; ; try++ {
		isOwnPorts := isAnyPort && try == freePortTries
		err := f.listenAll(addrs, port, isExplicit, isOwnPorts)
		if err == nil {
			return nil
		}
		if closeErr := f.closeSockets(); closeErr != nil {
			err = errors.Join(err, closeErr)
		}
		if !isAnyPort || isOwnPorts || !errors.Is(err, syscall.EADDRINUSE) {
			return err
		}
	}
}

// listenAll makes one try. Port 0 becomes the port that the first address got,
// or, with isOwnPorts, a free one for each.
func (f *Forwarder) listenAll(addrs []netip.Addr, port uint16, isExplicit, isOwnPorts bool) error {
	for _, addr := range addrs {
		err := f.listenOne(netip.AddrPortFrom(addr, port))
		if isNoAddress(err) && !isExplicit {
			// It went away, or IPv6 is switched off or still being configured.
			f.log.Debug("address not published", "addr", addr, "err", err)
			continue
		}
		if err != nil {
			return f.listenError(addr, port, err)
		}
		if port == 0 && !isOwnPorts {
			port = f.Ports()[0].Port()
		}
	}
	if len(f.tcp)+len(f.udp) == 0 {
		return fmt.Errorf("publish port %d of service %q: the host has no address to listen on", port, f.config.Service)
	}
	return nil
}

func (f *Forwarder) listenOne(addr netip.AddrPort) error {
	family := "4"
	if addr.Addr().Is6() {
		family = "6"
	}
	switch f.config.Publish.Protocol {
	case "tcp", "":
		l, err := net.ListenTCP("tcp"+family, net.TCPAddrFromAddrPort(addr))
		if err != nil {
			return err
		}
		f.tcp = append(f.tcp, l)
		return nil
	case "udp":
		c, err := net.ListenUDP("udp"+family, net.UDPAddrFromAddrPort(addr))
		if err != nil {
			return err
		}
		f.udp = append(f.udp, c)
		return nil
	}
	return fmt.Errorf("protocol %q cannot be forwarded", f.config.Publish.Protocol)
}

func isNoAddress(err error) bool {
	return errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EPROTONOSUPPORT)
}

// listenError says what a person can act on.
func (f *Forwarder) listenError(addr netip.Addr, port uint16, err error) error {
	where := fmt.Sprintf("publish %s of service %q", netip.AddrPortFrom(addr, port), f.config.Service)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		owner := ""
		if f.config.WhoListens != nil {
			owner = f.config.WhoListens(port)
		}
		if owner == "" {
			owner = "another process"
		}
		return fmt.Errorf("%s: port %d is in use by %s: %w", where, port, owner, err)
	case errors.Is(err, syscall.EACCES): // bind(2): no CAP_NET_BIND_SERVICE
		return fmt.Errorf("%s: %w: %w", where, ErrPrivilegedPort, err)
	}
	return fmt.Errorf("%s: %w", where, err)
}

// closeSockets closes and forgets the listening sockets.
func (f *Forwarder) closeSockets() error {
	var errs []error
	for _, l := range f.tcp {
		errs = append(errs, l.Close())
	}
	for _, c := range f.udp {
		errs = append(errs, c.Close())
	}
	f.tcp, f.udp = nil, nil
	return errors.Join(errs...)
}

// addrPort returns the address of a socket of this package.
func addrPort(a net.Addr) netip.AddrPort {
	switch a := a.(type) {
	case *net.TCPAddr:
		return a.AddrPort()
	case *net.UDPAddr:
		return a.AddrPort()
	}
	return netip.AddrPort{}
}
