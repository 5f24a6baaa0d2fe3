package engine

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
)

// Port is a port of the host that leads to a port of a container.
type Port struct {
	HostIP   netip.Addr // unspecified: all of the host's addresses of that family
	HostPort uint16
	Target   uint16
	Protocol string
}

// Published asks the engine which ports of the host lead to an instance's
// container: also those that the engine chose. There are none while it does not
// run.
func (r *Runtime) Published(ctx context.Context, instance string) ([]Port, error) {
	c, err := r.container(instance)
	if err != nil {
		return nil, err
	}
	inspected, err := r.Engine.api.ContainerInspect(ctx, c.id, client.ContainerInspectOptions{})
	if err != nil {
		return nil, fmt.Errorf("inspect the container of %s: %w", instance, err)
	}
	if inspected.Container.NetworkSettings == nil {
		return nil, nil
	}
	return portsOf(inspected.Container.NetworkSettings.Ports), nil
}

func portsOf(all network.PortMap) (ports []Port) {
	for target, bindings := range all {
		for _, b := range bindings {
			port, err := network.ParsePort(b.HostPort)
			if err != nil {
				continue
			}
			ports = append(ports, Port{HostIP: b.HostIP, HostPort: port.Num(), Target: target.Num(), Protocol: string(target.Proto())})
		}
	}
	slices.SortFunc(ports, func(a, b Port) int {
		return cmp.Or(cmp.Compare(a.Target, b.Target), cmp.Compare(a.Protocol, b.Protocol), a.HostIP.Compare(b.HostIP), cmp.Compare(a.HostPort, b.HostPort))
	})
	return ports
}
