package intercept

import (
	"cmp"
	"net/netip"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"upall/intercept/seccomp"
	"upall/intercept/traffic"
	"upall/internal/event"
	"upall/internal/linux"
)

// Traffic is what has gone over the connections of an instance to one endpoint.
type Traffic struct {
	Client  string         // instance; "host" for the connections of Forwards
	Target  string         // service, "" = outside of the project
	Outside netip.AddrPort // valid iff Target is "" and the endpoint is told apart from others
	Port    uint16         // of Target
	traffic.Flow
}

// Traffic returns what was counted so far, sorted. It looks at each socket that is
// open, beside the loop.
func (i *Interceptor) Traffic() []Traffic {
	i.meter.Sweep()
	return i.TrafficSoFar()
}

// TrafficSoFar does it without looking: of open connections it knows what they had
// when that was done last.
func (i *Interceptor) TrafficSoFar() (all []Traffic) {
	flows := i.meter.Flows()
	i.do(func() {
		for _, f := range flows {
			if t, ok := i.nameFlow(f); ok {
				all = append(all, t)
			}
		}
	})
	slices.SortFunc(all, func(a, b Traffic) int {
		return cmp.Or(cmp.Compare(a.Client, b.Client), cmp.Compare(a.Target, b.Target), a.Outside.Compare(b.Outside), cmp.Compare(a.Port, b.Port))
	})
	return all
}

// Forwards says that fd is a socket of this process that stands for a client of the
// host: it leads to target, which is really at the other address.
func (i *Interceptor) Forwards(fd int, target, at netip.AddrPort) error {
	cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_COOKIE)
	if err != nil {
		return os.NewSyscallError("getsockopt SO_COOKIE", err)
	}
	claim := traffic.Claim{Key: traffic.Key{Client: hostName, Server: target}, At: at}
	i.meter.IsOnly(i.ownNetNS, claim)
	i.meter.Claim(i.ownNetNS, cookie, claim)
	return nil
}

// Remember says that instances have connected to an endpoint outside of the project.
func (i *Interceptor) Remember(outside netip.AddrPort) { i.meter.Know(outside) }

// nameFlow says which service an endpoint is of. A connection of an instance to
// itself is no traffic of the project.
func (i *Interceptor) nameFlow(f traffic.Flow) (t Traffic, ok bool) {
	t = Traffic{Client: f.Client, Flow: f}
	if server := i.serverAt(f.Server); server != nil {
		if server.Name == f.Client {
			return t, false
		}
		i.named[f.Server] = server.Service
	}
	if name, known := i.named[f.Server]; known {
		t.Target, t.Port = name, f.Server.Port()
		return t, true
	}
	t.Outside = f.Server
	return t, true
}

// count begins to count bytes in the namespace of a source. Whose a client's socket
// is there is told by the namespace, unless several share it.
func (i *Interceptor) count(s *source) {
	n, instance := s.instance, ""
	if i.instances[n.Name] != n {
		return
	}
	if !s.sharesNames() {
		instance = n.Name
	}
	i.logIf("count the bytes of an instance", i.meter.Enter(s.space.id, s.space.fd(), instance, n.Addrs))
}

// sharesNames tells whether others have the source's addresses too.
func (s *source) sharesNames() bool {
	return s.space.ns == nil || s.instance.view.Load().Loopback.IsValid()
}

// claim says whose a socket is, of those that its address does not tell. The call
// waits for its response, so the descriptor is still that socket's.
func (s *source) claim(n *seccomp.Notification, asked netip.AddrPort, found route) {
	if s.meter == nil || !s.sharesNames() || (!found.isOpen && !isOutside(found.target)) {
		return
	}
	if at := cmp.Or(found.to, specified(asked)); found.isOpen && s.meter.IsOnly(s.space.id, s.claimOf(found.target, at)) {
		return
	}
	cookie, err := s.cookies.Of(int(n.PID), int(int32(n.Args[0])))
	if err != nil {
		return // the call fails, or its bytes are not counted
	}
	key := found.target
	if s.seen[key] == nil {
		key = netip.AddrPort{} // not told apart
	}
	s.meter.Claim(s.space.id, cookie, s.claimOf(key, cmp.Or(found.to, specified(asked))))
}

// claimHeld does it for a connect that the loop decides on.
func (s *source) claimHeld(sock *linux.Socket, asked netip.AddrPort, found route) {
	if s.meter == nil || !s.sharesNames() {
		return
	}
	claim := s.claimOf(found.target, cmp.Or(found.to, specified(asked)))
	s.meter.IsOnly(s.space.id, claim)
	if cookie, err := sock.Cookie(); err == nil {
		s.meter.Claim(s.space.id, cookie, claim)
	}
}

func (s *source) claimOf(target, at netip.AddrPort) traffic.Claim {
	return traffic.Claim{Key: traffic.Key{Client: s.instance.Name, Server: target}, At: at}
}

// know has the bytes of connections to an endpoint counted, in the project's terms
// and where it really is.
func (i *Interceptor) know(at netip.AddrPort) {
	i.meter.Know(at)
	i.meter.Know(i.real(at))
}

// openMeter is before the first source. What it has to say it says to the loop.
func (i *Interceptor) openMeter() {
	i.meter = traffic.New(i.log, func(message string) {
		i.work.Go(func() { i.post(func() { i.tell(event.Event{Type: event.Warning, Message: message}) }) })
	})
}
