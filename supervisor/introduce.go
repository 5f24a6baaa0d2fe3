package supervisor

import (
	"net/netip"

	"upall/compose"
	"upall/intercept"
	"upall/intercept/registry"
	"upall/intercept/serve"
)

func (s *supervisor) openInterceptor() (err error) {
	s.interceptor, err = intercept.Open(s.ctx, intercept.Options{
		Socket: s.State.Socket(), Emit: s.Bus.Emit, Logger: s.Logger, Disabled: s.Disabled, HoldTimeout: s.HoldTimeout,
	})
	s.cannotPark = intercept.ParkingPermitted(s.Disabled)
	return err
}

// introduce makes every instance known to the interceptor.
func (s *supervisor) introduce() {
	if s.interceptor == nil {
		return
	}
	for n := range s.plan.Services {
		svc := &s.plan.Services[n]
		for _, i := range svc.Instances {
			in := s.describe(svc, i)
			if containers, ok := s.runners[compose.Engine].(*containers); ok && svc.Runtime == compose.Engine {
				in.Metadata = containers.metadata(i.Name)
			}
			s.metadata[i.Name] = s.interceptor.Add(in)
			if svc.Runtime == compose.Engine && len(in.Addrs) > 0 {
				s.tellPublished(svc, in.Addrs[0])
			}
		}
	}
}

// tellPublished has those who connect to a port that the engine publishes on the
// host wait too: the engine's proxy takes connections that nobody serves yet.
// Ports that the engine chooses are not known.
func (s *supervisor) tellPublished(svc *compose.Service, addr netip.Addr) {
	for _, p := range svc.Published {
		if p.Protocol != "tcp" || p.HostPort == 0 || p.HostPortEnd != 0 {
			continue
		}
		on := netip.IPv4Unspecified()
		if p.HostIP != "" {
			var err error
			if on, err = netip.ParseAddr(p.HostIP); err != nil {
				continue
			}
		}
		s.interceptor.Publish(netip.AddrPortFrom(on, p.HostPort), netip.AddrPortFrom(addr, p.Target))
	}
}

// describe tells the interceptor of an instance.
func (s *supervisor) describe(svc *compose.Service, i compose.Instance) intercept.Instance {
	in := intercept.Instance{Instance: registry.Instance{
		Name: i.Name, Service: svc.Name,
		HoldTimeout: svc.Settings.HoldTimeout,
		HoldSelf:    svc.Settings.Hold == compose.HoldLoopback,
		NoHold:      svc.Settings.Hold == compose.HoldNone,
	}}
	for _, g := range svc.Gates {
		if g.Kind == compose.GateConnect && g.Condition == compose.Completed {
			in.Jobs = append(in.Jobs, g.Service)
		}
	}
	for _, p := range svc.Ports {
		if p.Protocol == "udp" {
			in.UDPPorts = append(in.UDPPorts, p.Number)
		} else {
			in.Ports = append(in.Ports, p.Number)
		}
	}
	if svc.Runtime == compose.Process {
		s.describeProcess(svc, i, &in)
	} else {
		s.describeContainer(svc, i, &in)
	}
	return in
}

// describeProcess: early listeners serve where connects cannot be parked, and
// only for services that nothing but their listener is waited for.
func (s *supervisor) describeProcess(svc *compose.Service, i compose.Instance, in *intercept.Instance) {
	in.Addrs = []netip.Addr{i.Addr}
	in.Rewrite, in.Second = true, i.Addr2
	in.OnDemand = func(port uint16) bool { return s.listensEarly(svc, port) }
	for _, port := range in.Ports {
		if s.listensEarly(svc, port) {
			in.Early = append(in.Early, port)
		}
	}
}

func (s *supervisor) listensEarly(svc *compose.Service, port uint16) bool {
	return s.cannotPark != nil && !serve.MayListenEarly(svc.Command, port)
}
