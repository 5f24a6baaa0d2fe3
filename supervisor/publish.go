package supervisor

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"upall/compose"
	"upall/intercept/sockdiag"
	"upall/supervisor/forward"
)

// unprivileged is added to a published port that needs privilege: 80 becomes
// 8080, 443 becomes 8443.
const unprivileged = 8000

// openForwarders listens on the published ports of every process; those of
// containers are the engine's.
func (s *supervisor) openForwarders() error {
	for n := range s.plan.Services {
		svc := &s.plan.Services[n]
		if svc.Runtime != compose.Process {
			continue
		}
		for _, p := range svc.Published {
			for _, i := range svc.Instances {
				if err := s.publish(svc, i, p); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (s *supervisor) publish(svc *compose.Service, i compose.Instance, p compose.Publish) error {
	config := forward.Config{
		Service: svc.Name, Publish: p, Target: s.target(netip.AddrPortFrom(i.Addr, p.Target), p.Protocol),
		WhoListens: whoListens, Logger: s.Logger,
	}
	f, err := forward.Open(s.ctx, config)
	if errors.Is(err, forward.ErrPrivilegedPort) {
		config.Publish.HostPort += unprivileged
		s.warn(svc.Name, fmt.Sprintf("port %d needs privilege: published on %d instead", p.HostPort, config.Publish.HostPort))
		f, err = forward.Open(s.ctx, config)
	}
	if err != nil {
		return err
	}
	s.forwarders = append(s.forwarders, f)
	return nil
}

// target waits as a held connect does.
func (s *supervisor) target(at netip.AddrPort, protocol string) func(context.Context) (netip.AddrPort, error) {
	switch {
	case s.interceptor == nil:
		return func(context.Context) (netip.AddrPort, error) { return at, nil }
	case protocol == "udp":
		return func(ctx context.Context) (netip.AddrPort, error) { return s.interceptor.AwaitUDP(ctx, at) }
	default:
		return func(ctx context.Context) (netip.AddrPort, error) { return s.interceptor.Await(ctx, at) }
	}
}

// whoListens names the process that has a TCP port, "" when nobody is seen to.
func whoListens(port uint16) string {
	diag, err := sockdiag.Dial(0)
	if err != nil {
		return ""
	}
	defer func() { _ = diag.Close() }()
	holders, err := diag.WhoListens(port)
	if err != nil || len(holders) == 0 {
		return ""
	}
	return holders[0].String()
}
