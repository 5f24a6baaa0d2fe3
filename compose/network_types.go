package compose

import "net/netip"

// Network is a network that containers of a Plan are on.
type Network struct {
	Key      string // in the file
	Name     string // the engine's name
	Driver   string // "" = the engine's default, bridge
	External bool   // not made by the project
	// Subnets are the user's and those that upall chose, IPv4 before IPv6. Nil
	// where the engine chooses.
	Subnets []netip.Prefix
	// DynamicRange is where the engine is to take IPv4 addresses from for
	// containers that have no fixed one ("run"). Zero = the whole subnet.
	DynamicRange netip.Prefix
	// Gateway is the host's IPv4 address in the network, where that is known.
	Gateway netip.Addr
	// Fixed says that every container of the plan has an address in it before it
	// is made. Without that, names on it resolve by the engine's own DNS, which
	// knows a container only once it runs.
	Fixed bool
	// Meeting says that the project's processes have addresses in it, which the
	// host must take, so that containers reach them.
	Meeting bool
}

// ofHost reports whether the host itself can reach the network's containers,
// and they the host: other drivers keep the two apart.
func (n Network) ofHost() bool { return n.Driver == "" || n.Driver == bridgeDriver }

const bridgeDriver = "bridge"

// ServiceNetwork is a network that the containers of a service are on.
type ServiceNetwork struct {
	Key string
	// Names are those under which peers on it reach each container of the
	// service: its name, the aliases and its hostname. A container's own name is
	// one more.
	Names []string
}

// Endpoint is what a container has in a network.
type Endpoint struct {
	Network string     // key
	Addr    netip.Addr // IPv4; zero = the engine chooses
	Addr6   netip.Addr // IPv6; zero = the engine chooses, if the network has any
}

// addrs lists the addresses that are known.
func (e Endpoint) addrs() []netip.Addr {
	var known []netip.Addr
	for _, addr := range []netip.Addr{e.Addr, e.Addr6} {
		if addr.IsValid() {
			known = append(known, addr)
		}
	}
	return known
}

// ExistingNetwork is what the engine knows of a network.
type ExistingNetwork struct {
	Driver  string
	Subnets []netip.Prefix
	// Configured says that the subnets were given by whoever made the network:
	// the engine refuses fixed addresses in others.
	Configured bool
	// Ours says that upall made it for this project (see LabelManaged), so that
	// it keeps its subnets.
	Ours    bool
	Gateway netip.Addr   // IPv4; zero = not known
	Used    []netip.Addr // of whatever containers, stopped ones with a fixed address too
}

// The values of Service.Namespace; service: and container: are prefixes.
const (
	NamespaceHost      = "host"
	NamespaceNone      = "none"
	namespaceService   = "service:"
	namespaceContainer = "container:"
)
