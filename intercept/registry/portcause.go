package registry

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"upall/internal/event"
)

func (i *instance) exitCause() string {
	return fmt.Sprintf("%s exited with code %d", i.Service, i.code)
}

// portCause says what an instance that does not listen at the endpoint listens on
// instead.
func (i *instance) portCause(at netip.AddrPort) string {
	_, cause := i.portFinding(at)
	return cause
}

func (i *instance) portFinding(at netip.AddrPort) (kind event.Kind, cause string) {
	var same []listener
	var ports []uint16
	for _, l := range slices.SortedFunc(maps.Keys(i.listeners), listener.compare) {
		ports = append(ports, l.at.Port())
		if l.at.Port() == at.Port() {
			same = append(same, l)
		}
	}
	switch {
	case len(ports) == 0:
		return event.NoPort, i.Service + " listens on no port"
	case len(same) > 0:
		return i.addressFinding(same, at)
	}
	slices.Sort(ports)
	list := strings.Trim(fmt.Sprint(slices.Compact(ports)), "[]")
	return event.WrongPort, fmt.Sprintf("%s listens on %s only", i.Service, strings.ReplaceAll(list, " ", ", "))
}

// addressFinding is of an instance that has the port, where the connect does not
// reach it.
func (i *instance) addressFinding(on []listener, at netip.AddrPort) (kind event.Kind, cause string) {
	var shown []string
	isLoopback, hasWildcard := true, false
	for _, l := range on {
		shown = append(shown, l.shown())
		isLoopback = isLoopback && l.at.Addr().IsLoopback()
		hasWildcard = hasWildcard || l.at.Addr().IsUnspecified()
	}
	listens := fmt.Sprintf("%s listens on %s", i.Service, strings.Join(slices.Compact(shown), ", "))
	switch is4 := at.Addr().Is4(); {
	case isLoopback && !at.Addr().IsLoopback():
		return event.LoopbackOnly, listens + " only: have it listen on 0.0.0.0"
	case hasWildcard && is4: // else it would be reached
		return event.IPv6Only, listens + " for IPv6 only, and the connect comes by IPv4: have it listen on 0.0.0.0"
	case hasWildcard:
		return event.IPv4Only, listens + " for IPv4 only, and the connect comes by IPv6: have it listen on [::]"
	default:
		return event.OtherAddress, listens + " only"
	}
}

// shown is where it listens, as people know it.
func (l listener) shown() string {
	if IsLoopback(l.at.Addr()) {
		return fmt.Sprintf("127.0.0.1:%d", l.at.Port())
	}
	return l.at.String()
}

func (l listener) compare(other listener) int { return l.at.Compare(other.at) }
