package supervisor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"upall/compose"
	"upall/intercept/sockdiag"
	"upall/supervisor/control"
	"upall/supervisor/forward"
)

// unprivileged is added to a published port that needs privilege: 80 becomes
// 8080, 443 becomes 8443.
const unprivileged = 8000

// publishEntry begins the names of the Keep's entries of published ports: who
// connects while upall's supervisor is not there waits in the backlog.
const publishEntry = "publish/"

// published is a port of an instance that is published.
type published struct {
	instance string
	compose.Publish
}

func (p published) entry() string {
	return fmt.Sprintf("%s%s/%s/%s/%d-%d/%d", publishEntry, p.instance, p.Protocol, p.HostIP, p.HostPort, p.HostPortEnd, p.Target)
}

// openForwarders listens on the published ports of every process; those of
// containers are the engine's. What the plan does not have any more is closed.
func (s *supervisor) openForwarders() error {
	wanted := map[published]bool{}
	for n := range s.plan.Services {
		svc := &s.plan.Services[n]
		if svc.Runtime != compose.Process {
			continue
		}
		for _, p := range svc.Published {
			for _, i := range svc.Instances {
				wanted[published{i.Name, p}] = true
				if err := s.publish(svc, i, p); err != nil {
					return err
				}
			}
		}
	}
	for p := range s.forwarders {
		if !wanted[p] {
			s.unpublish(p)
		}
	}
	s.board.publish(s.publishedPorts())
	return nil
}

// publishedPorts are where the forwarders really listen.
func (s *supervisor) publishedPorts() []control.Published {
	all := []control.Published{}
	for p, f := range s.forwarders {
		port := p.HostPort
		if bound := f.Ports(); len(bound) > 0 {
			port = bound[0].Port() // the same on all addresses
		}
		all = append(all, control.Published{Instance: p.instance, HostIP: p.HostIP, HostPort: port, Target: p.Target, Protocol: p.Protocol})
	}
	slices.SortFunc(all, func(a, b control.Published) int {
		return cmp.Or(cmp.Compare(a.Instance, b.Instance), cmp.Compare(a.Target, b.Target), cmp.Compare(a.HostPort, b.HostPort), cmp.Compare(a.HostIP, b.HostIP))
	})
	return all
}

func (s *supervisor) publish(svc *compose.Service, i compose.Instance, p compose.Publish) error {
	key := published{i.Name, p}
	if s.forwarders[key] != nil {
		return nil
	}
	config := forward.Config{
		Service: svc.Name, Publish: p, Target: s.target(netip.AddrPortFrom(i.Addr, p.Target), p.Protocol),
		Connected:  s.forwards(netip.AddrPortFrom(i.Addr, p.Target)),
		WhoListens: whoListens, Logger: s.Logger,
	}
	if k, ok := s.kept(key.entry()); ok {
		config.Sockets = k.FDs
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
	s.forwarders[key] = f
	if s.Keep == nil || len(config.Sockets) > 0 {
		return nil
	}
	if err := f.Keep(func(fds ...int) error { return s.Keep.Put(key.entry(), nil, fds...) }); err != nil {
		s.Logger.Warn("keep a published port", "service", svc.Name, "error", err)
	}
	return nil
}

func (s *supervisor) unpublish(p published) {
	if err := s.forwarders[p].Close(); err != nil {
		s.Logger.Warn("close a published port", "instance", p.instance, "error", err)
	}
	delete(s.forwarders, p)
	if s.Keep != nil {
		if err := s.Keep.Drop(p.entry()); err != nil {
			s.Logger.Warn("forget a published port", "instance", p.instance, "error", err)
		}
	}
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
