package supervisor

import (
	"net/netip"
	"os"

	"upall/compose"
	"upall/intercept"
	"upall/intercept/registry"
	"upall/intercept/serve"
)

// openInterceptor goes on with what an earlier life has left, if it has.
func (s *supervisor) openInterceptor(kept []intercept.Kept) (err error) {
	if s.interceptor != nil || !s.spec.Intercept {
		return nil
	}
	timeout := s.spec.HoldTimeout
	if timeout == 0 {
		timeout = compose.DefaultHoldTimeout
	}
	options := intercept.Options{
		Socket: s.state.Socket(), Emit: s.bus.Emit, Logger: s.Logger, Disabled: s.disabled(), HoldTimeout: timeout,
		Kept: kept,
	}
	if s.Keep != nil {
		options.Keep, options.Ledger = s.Keep, s.statePath("ledger")
		if err := os.MkdirAll(options.Ledger, 0o700); err != nil {
			return err
		}
	}
	s.interceptor, err = intercept.Open(s.ctx, options)
	s.counting.Store(s.interceptor)
	s.cannotPark = intercept.ParkingPermitted(s.disabled())
	return err
}

// introduce makes every instance known to the interceptor, or what is new of one
// that is known.
func (s *supervisor) introduce(checked map[string]bool) {
	if s.interceptor == nil {
		return
	}
	for n := range s.plan.Services {
		svc := &s.plan.Services[n]
		for _, i := range svc.Instances {
			in := s.describe(svc, i)
			in.HasHealth = checked[i.Name] && svc.Settings.Ready != compose.ReadyListen
			in.Metadata = s.metadata[i.Name]
			if c := s.containers(); c != nil && svc.Runtime == compose.Engine {
				in.Metadata = c.metadataOf(i.Name)
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
		if g.Kind == compose.GateConnect {
			in.Requires = append(in.Requires, registry.Requirement{Service: g.Service, Condition: registry.Condition(g.Condition), Required: g.Required})
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
