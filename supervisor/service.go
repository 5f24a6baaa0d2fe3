package supervisor

import (
	"context"
	"net/netip"
	"slices"

	"upall/compose"
	"upall/supervisor/control"
	"upall/supervisor/engine"
)

// Service tells what the files say of a service, and where it is published.
func (s *supervisor) Service(ctx context.Context, name string) (info control.ServiceInfo, err error) {
	var (
		spec *control.Spec
		svc  compose.Service
		c    *containers
	)
	isOpen := s.do(func() {
		if err = s.conflict([]string{name}); err == nil {
			spec, c = s.spec, s.containers()
			svc = s.plan.Services[slices.IndexFunc(s.plan.Services, func(p compose.Service) bool { return p.Name == name })]
		}
	})
	if err != nil {
		return info, err
	}
	if !isOpen {
		return info, errEnding
	}
	info = control.ServiceInfo{Service: name, Command: svc.Command, Environment: environment(svc.Env), Published: []control.Published{}}
	if svc.Runtime == compose.Process {
		info.Published = append(info.Published, s.board.publishedOf(svc.Instances)...)
		return info, nil
	}
	project, err := parseProject(ctx, spec)
	if err != nil {
		return info, err
	}
	info.Image = project.Services[name].Image
	for _, i := range svc.Instances {
		info.Published = append(info.Published, c.published(ctx, &svc, i.Name)...)
	}
	return info, nil
}

// publishedOf are the ports that lead to processes.
func (b *board) publishedOf(instances []compose.Instance) (all []control.Published) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.fixed.Published {
		if slices.ContainsFunc(instances, func(i compose.Instance) bool { return i.Name == p.Instance }) {
			all = append(all, p)
		}
	}
	return all
}

// published are the ports that lead to a container: what the engine says, and what
// the files do while it has none.
func (c *containers) published(ctx context.Context, svc *compose.Service, instance string) (all []control.Published) {
	var ports []engine.Port
	if c != nil {
		ports, _ = c.runtime.Published(ctx, instance) // it may be about to be created
	}
	for _, p := range ports {
		all = append(all, control.Published{Instance: instance, HostIP: hostIP(p.HostIP), HostPort: p.HostPort, Target: p.Target, Protocol: p.Protocol})
	}
	if all = slices.Compact(all); len(all) > 0 { // one of each family, of the same name
		return all
	}
	for _, p := range svc.Published {
		if p.HostPort != 0 && p.HostPortEnd == 0 {
			all = append(all, control.Published{Instance: instance, HostIP: p.HostIP, HostPort: p.HostPort, Target: p.Target, Protocol: p.Protocol})
		}
	}
	return all
}

// hostIP is how files write it: all addresses are none.
func hostIP(a netip.Addr) string {
	if !a.IsValid() || a.IsUnspecified() {
		return ""
	}
	return a.String()
}
