package intercept

import (
	"context"
	"errors"
	"net/netip"

	"upall/intercept/registry"
)

// hostName stands for the host in events: for whoever connects to a published
// port.
const hostName = "host"

// errClosed says that the Interceptor was closed meanwhile.
var errClosed = errors.New("upall stops")

// Await waits until target serves, as a held connect does, and returns where to
// connect to. Its error says why the target is not to come.
func (i *Interceptor) Await(ctx context.Context, target netip.AddrPort) (netip.AddrPort, error) {
	result := make(chan error, 1)
	var id uint64
	i.do(func() {
		id = i.nextID()
		i.holds[id] = &hold{result: result, asked: target, target: target}
		i.step(registry.Connect{ID: id, Client: hostName, Target: target})
	})
	select {
	case err := <-result:
		return i.where(target), err
	case <-ctx.Done():
		i.do(func() { i.step(registry.Gone{ID: id}) })
		return netip.AddrPort{}, ctx.Err()
	case <-i.done:
		return netip.AddrPort{}, errClosed
	}
}

// AwaitUDP waits until the instance of target has bound its declared UDP port.
func (i *Interceptor) AwaitUDP(ctx context.Context, target netip.AddrPort) (netip.AddrPort, error) {
	bound := make(chan struct{})
	i.do(func() {
		if i.udpBound[target] {
			close(bound)
			return
		}
		i.udpWaiters[target] = append(i.udpWaiters[target], bound)
	})
	select {
	case <-bound:
		return i.where(target), nil
	case <-ctx.Done():
		return netip.AddrPort{}, ctx.Err()
	case <-i.done:
		return netip.AddrPort{}, errClosed
	}
}

func (i *Interceptor) boundUDP(at netip.AddrPort) {
	i.udpBound[at] = true
	for _, w := range i.udpWaiters[at] {
		close(w)
	}
	delete(i.udpWaiters, at)
}

func (i *Interceptor) where(target netip.AddrPort) (actual netip.AddrPort) {
	i.do(func() { actual = i.real(target) })
	return actual
}
