package engine

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/compose/v5/pkg/api"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"upall/compose"
)

// Survey fills in what a plan must respect of what is there already: networks,
// the addresses of the project's containers, and the host's routes.
func (e *Engine) Survey(ctx context.Context, project string, o *compose.PlanOptions) error {
	found, err := e.api.NetworkList(ctx, client.NetworkListOptions{})
	if err != nil {
		return fmt.Errorf("list the engine's networks: %w", err)
	}
	o.Networks = map[string]compose.ExistingNetwork{}
	for _, n := range found.Items {
		existing := describeNetwork(n.Network, project)
		if !existing.Ours {
			o.Taken = append(o.Taken, existing.Subnets...)
		}
		if existing.Configured && !existing.Ours {
			if existing.Used, err = e.usedAddresses(ctx, n.ID); err != nil {
				return err
			}
		}
		o.Networks[n.Name] = existing
	}
	routes, err := os.ReadFile("/proc/net/route")
	if err != nil {
		return fmt.Errorf("read the host's routes: %w", err)
	}
	o.Taken = append(o.Taken, foreignRoutes(parseRoutes(string(routes)), o.Networks)...)
	o.Addresses, err = e.addresses(ctx, project)
	return err
}

func describeNetwork(n network.Network, project string) compose.ExistingNetwork {
	_, managed := n.Labels[compose.LabelManaged]
	existing := compose.ExistingNetwork{Driver: n.Driver, Ours: managed && n.Labels[api.ProjectLabel] == project}
	for _, c := range n.IPAM.Config {
		if !c.Subnet.IsValid() {
			continue
		}
		existing.Subnets = append(existing.Subnets, c.Subnet.Masked())
		existing.Configured = existing.Configured || isConfigured(c)
		if c.Gateway.Is4() {
			existing.Gateway = c.Gateway
		}
	}
	return existing
}

// isConfigured tells whether a user gave the subnet, without which the engine
// refuses fixed addresses. It does not say so itself, but adds the first address
// as the gateway to a subnet that it has chosen. One that a user has given with
// that very gateway is not recognised.
func isConfigured(c network.IPAMConfig) bool {
	isChosen := c.Gateway == c.Subnet.Masked().Addr().Next() && !c.IPRange.IsValid() && len(c.AuxAddress) == 0
	return !isChosen
}

// usedAddresses are those that containers of others have in a network.
func (e *Engine) usedAddresses(ctx context.Context, id string) ([]netip.Addr, error) {
	inspected, err := e.api.NetworkInspect(ctx, id, client.NetworkInspectOptions{})
	if cerrdefs.IsNotFound(err) { // removed since it was listed
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("inspect a network: %w", err)
	}
	var used []netip.Addr
	for _, c := range inspected.Network.Containers {
		for _, p := range []netip.Prefix{c.IPv4Address, c.IPv6Address} {
			if p.IsValid() {
				used = append(used, p.Addr())
			}
		}
	}
	return used, nil
}

// addresses are the fixed ones of the project's containers, by container and
// network.
func (e *Engine) addresses(ctx context.Context, project string) (map[string]map[string][]netip.Addr, error) {
	found, err := e.api.ContainerList(ctx, client.ContainerListOptions{
		All: true, Filters: make(client.Filters).Add("label", api.ProjectLabel+"="+project),
	})
	if err != nil {
		return nil, fmt.Errorf("list the containers of project %q: %w", project, err)
	}
	all := map[string]map[string][]netip.Addr{}
	for _, c := range found.Items {
		if len(c.Names) == 0 || c.NetworkSettings == nil {
			continue
		}
		fixed := map[string][]netip.Addr{}
		for name, n := range c.NetworkSettings.Networks {
			if n == nil || n.IPAMConfig == nil {
				continue
			}
			for _, a := range []netip.Addr{n.IPAMConfig.IPv4Address, n.IPAMConfig.IPv6Address} {
				if a.IsValid() {
					fixed[name] = append(fixed[name], a)
				}
			}
		}
		all[strings.TrimPrefix(c.Names[0], "/")] = fixed
	}
	return all, nil
}

// parseRoutes reads /proc/net/route (proc_pid_net(5)): destination and mask
// are in columns 2 and 8, in hexadecimal and the byte order of the machine.
func parseRoutes(text string) []netip.Prefix {
	var routes []netip.Prefix
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 8 {
			continue
		}
		addr, okAddr := parseHexAddr(fields[1])
		mask, okMask := parseHexAddr(fields[7])
		if !okAddr || !okMask {
			continue
		}
		bits := 0
		for _, b := range mask.As4() {
			for ; b&0x80 != 0; b <<= 1 {
				bits++
			}
		}
		if bits > 0 { // the default route takes nothing
			routes = append(routes, netip.PrefixFrom(addr, bits))
		}
	}
	return routes
}

// parseHexAddr: the machines that upall runs on are little-endian.
func parseHexAddr(text string) (netip.Addr, bool) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != 4 {
		return netip.Addr{}, false
	}
	slices.Reverse(b)
	return netip.AddrFrom4([4]byte(b)), true
}

// foreignRoutes leaves the routes out that the networks themselves have made.
func foreignRoutes(routes []netip.Prefix, networks map[string]compose.ExistingNetwork) []netip.Prefix {
	return slices.DeleteFunc(routes, func(r netip.Prefix) bool {
		for _, n := range networks {
			if slices.Contains(n.Subnets, r) {
				return true
			}
		}
		return false
	})
}

// BridgeOf names the host's interface of a bridge network.
func (e *Engine) BridgeOf(ctx context.Context, name string) (string, error) {
	inspected, err := e.api.NetworkInspect(ctx, name, client.NetworkInspectOptions{})
	if err != nil {
		return "", fmt.Errorf("inspect network %s: %w", name, err)
	}
	if device := inspected.Network.Options["com.docker.network.bridge.name"]; device != "" {
		return device, nil
	}
	const idLength = 12
	return "br-" + inspected.Network.ID[:idLength], nil
}
