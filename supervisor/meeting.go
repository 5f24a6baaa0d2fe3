package supervisor

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"upall/compose"
	"upall/internal/linux"
)

// meeting is the bridge on which the processes of a project with containers too
// have their addresses, so that both reach each other.
type meeting struct {
	device string
	addrs  []netip.Addr
}

// openMeeting gives the host the addresses of the plan's processes. The network
// must be there.
func (s *supervisor) openMeeting(ctx context.Context) error {
	for _, n := range s.plan.Networks {
		if !n.Meeting {
			continue
		}
		device, err := s.engine.BridgeOf(ctx, n.Name)
		if err != nil {
			return err
		}
		s.meeting.device = device
		for _, addr := range s.processAddrs() {
			if slices.Contains(s.meeting.addrs, addr) {
				continue
			}
			if err := linux.AddAddress(device, addr); err != nil {
				return fmt.Errorf("give the processes addresses in network %s: %w", n.Name, err)
			}
			s.meeting.addrs = append(s.meeting.addrs, addr)
		}
	}
	return nil
}

func (s *supervisor) processAddrs() (addrs []netip.Addr) {
	for _, svc := range s.plan.Services {
		if svc.Runtime != compose.Process {
			continue
		}
		for _, i := range svc.Instances {
			addrs = append(addrs, i.Addr, i.Addr2)
		}
	}
	return addrs
}

// close takes the addresses away again, as far as the network is still there.
func (m *meeting) close() error {
	var errs []error
	for _, addr := range m.addrs {
		errs = append(errs, linux.RemoveAddress(m.device, addr))
	}
	return errors.Join(errs...)
}
