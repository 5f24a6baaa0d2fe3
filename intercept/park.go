package intercept

import (
	"errors"
	"net/netip"
	"slices"
	"time"

	"upall/intercept/park"
	"upall/intercept/registry"
	"upall/internal/event"
	"upall/internal/linux"
)

// ends are the two ends of a connection.
type ends struct{ src, dst netip.AddrPort }

type awaited struct {
	id uint64
	h  *hold
}

// socketPatience is how long the duplicate of a parked client's socket may stay
// open. It is needed until the SYN comes, which is at once, but for TCP fast
// open, where the first write sends it; while it is open a close of the client's
// goes unseen.
const socketPatience = time.Second

// CannotPark says why connects cannot be parked in this network namespace, nil
// when they can. It tries, which takes the kernel some 40 ms.
func CannotPark(disabled linux.Disabled) error {
	if disabled.Has(linux.Park) {
		return errors.New("parking is switched off")
	}
	return park.Probe(park.Options{
		DisableNativeQueue: disabled.Has(linux.NativeQueue), DisableOwner: disabled.Has(linux.TableOwner),
	})
}

// ParkingPermitted says why the caller may not park connects, nil when it may: the
// part of CannotPark that costs nothing.
func ParkingPermitted(disabled linux.Disabled) error {
	if disabled.Has(linux.Park) {
		return errors.New("parking is switched off")
	}
	return park.Permitted(park.Options{})
}

func (s *space) awaitSYN(id uint64, h *hold, to netip.AddrPort) {
	s.awaiting[to] = append(s.awaiting[to], awaited{id, h})
}

// take finds the hold that a SYN from src is of. A socket that does not tell its
// address yet is only taken when no other is from src: an MPTCP socket has none
// before its connect has gone on.
func (s *space) take(src, dst netip.AddrPort) *hold {
	as := s.awaiting[dst]
	n := slices.IndexFunc(as, func(a awaited) bool { return a.h.from() == src })
	if n < 0 {
		n = slices.IndexFunc(as, func(a awaited) bool { return a.h.from().Port() == 0 })
	}
	if n < 0 {
		return nil
	}
	h := as[n].h
	if as = slices.Delete(as, n, n+1); len(as) == 0 {
		delete(s.awaiting, dst)
	} else {
		s.awaiting[dst] = as
	}
	return h
}

// from returns where the SYN will come from, port 0 if that is not known. It is
// asked for each SYN of the same target, so the answer is kept.
func (h *hold) from() netip.AddrPort {
	if h.sock == nil || h.src.IsValid() {
		return h.src
	}
	local, err := h.sock.LocalAddr()
	if err != nil || local.Addr().IsUnspecified() {
		return netip.AddrPort{}
	}
	h.src = local
	return local
}

// arrived pairs a SYN with its hold. One that is parked already comes again when
// the kernel has dropped its packet, as it does to all queued packets when a
// netfilter hook is removed. If its hold was released meanwhile it is late: it and
// its like come together, so they too wait for room. Any other SYN without a hold
// is let go: it is of another upall.
func (i *Interceptor) arrived(s *space, p park.Packet) {
	switch {
	case s.isClosed:
		return // the end of the parker lets it go
	case !s.isOpen(): // another upall's SYN may come before we have parked any
		s.tooEarly = append(s.tooEarly, p)
		return
	}
	at := ends{p.Src, p.Dst}
	if h := s.parked[at]; h != nil {
		h.packet = p.ID
		return
	}
	h := s.take(p.Src, p.Dst)
	if h == nil {
		if i.instanceAt(p.Dst.Addr()) != nil {
			of := lateness{s, p.Dst}
			i.late[of] = append(i.late[of], p.ID)
			i.acceptLate(of)
			return
		}
		i.verdict(s.parker.Accept, p.ID)
		return
	}
	i.discardOf(h)
	h.packet, h.syn, h.arrived = p.ID, at, true
	if h.overtake != "" {
		i.judge(h, h.overtake)
		return
	}
	s.parked[at] = h
}

// refused takes an answer to a client of the space from where nobody listens: the
// first to tell that a listener was closed. A client that may still be served does
// not hear of it, and sends its SYN again; what it would be told by upall, it is
// told here.
func (i *Interceptor) refused(s *space, p park.Packet) {
	switch {
	case s.isClosed:
		return // the end of the parker lets it go
	case !s.isOpen():
		s.refusals = append(s.refusals, p)
		return
	}
	verdict := s.parker.Accept
	if client := i.clientIn(s); client != nil {
		from := p.Src
		if from.Addr().IsLoopback() && client.Loopback.IsValid() {
			from = netip.AddrPortFrom(client.Loopback, from.Port())
		}
		if !i.hasListener(from) { // the answer may be older than one that is there now
			i.step(registry.Unlistened{At: from})
		}
		if i.registry.MayServe(client.Name, from) {
			verdict = s.parker.Drop
		}
	}
	i.verdict(verdict, p.ID)
}

// hasListener asks the kernel of the target.
func (i *Interceptor) hasListener(at netip.AddrPort) bool {
	s := i.spaceAt(at.Addr())
	if s == nil {
		return false
	}
	_, _, err := s.acceptQueue(i.real(at))
	return err == nil
}

// clientIn returns an instance in the space whose connects may be held.
func (i *Interceptor) clientIn(s *space) *instance {
	for _, n := range i.instances {
		if n.space == s && !n.NoHold {
			return n
		}
	}
	return nil
}

// lateness is of SYNs that come after their release.
type lateness struct {
	space *space
	dst   netip.AddrPort
}

// acceptLate lets late SYNs go as far as the accept queue has room.
func (i *Interceptor) acceptLate(of lateness) {
	late := i.late[of]
	now := min(i.room(of.dst), len(late))
	i.verdict(of.space.parker.Accept, late[:now]...)
	if now == len(late) {
		delete(i.late, of)
	} else {
		i.late[of] = late[now:]
	}
}

func (i *Interceptor) verdict(give func(...uint32) error, packets ...uint32) {
	if err := give(packets...); err != nil {
		i.log.Error("give a verdict on a parked connect", "error", err)
	}
}

// judge gives the verdict on the SYN of an ended hold.
func (i *Interceptor) judge(h *hold, end event.End) {
	s := h.source.space
	if s.parked[h.syn] == h {
		delete(s.parked, h.syn)
	}
	switch end {
	case event.Released:
		i.verdict(s.parker.Accept, h.packet)
	case event.Refused, event.Expired:
		i.verdict(s.parker.Refuse, h.packet)
	default:
		i.verdict(s.parker.Drop, h.packet)
	}
}

func (i *Interceptor) endParked(h *hold, end event.End) {
	if !h.arrived {
		h.overtake = end
		return
	}
	i.judge(h, end)
}

// goneParked returns the parked holds whose sockets are not connecting any more:
// closed, or timed out by themselves.
func (i *Interceptor) goneParked() (gone []uint64) {
	alive := map[*space]map[ends]bool{}
	for _, s := range i.spaces {
		if connecting, ok := i.connecting(s); ok {
			alive[s] = connecting
		}
	}
	for id, h := range i.holds {
		if h.way != event.Parked || h.syn.src.Port() == 0 {
			continue
		}
		if connecting, known := alive[h.source.space]; known && !connecting[h.syn] {
			gone = append(gone, id)
		}
	}
	return gone
}

// connecting returns the connects that are under way where any is parked.
func (i *Interceptor) connecting(s *space) (alive map[ends]bool, ok bool) {
	if len(s.parked) == 0 && len(s.awaiting) == 0 {
		return nil, false
	}
	diag, err := s.dial()
	if err != nil {
		return nil, false
	}
	sockets, err := diag.Connecting()
	if err != nil {
		i.log.Warn("look for parked clients", "error", err)
		return nil, false
	}
	alive = make(map[ends]bool, len(sockets))
	for _, c := range sockets {
		alive[ends{c.Local, c.Remote}] = true
	}
	return alive, true
}

// forgetSockets closes the duplicates whose SYN is late, and forgets holds that
// have ended: their SYN will be let go as one that was never held. It returns
// the holds whose connects have failed in the kernel before any SYN.
func (s *space) forgetSockets(i *Interceptor) (gone []uint64) {
	for dst, as := range s.awaiting {
		rest := as[:0]
		for _, a := range as {
			if a.h.sock != nil && time.Since(a.h.began) > socketPatience {
				if !a.h.sock.IsConnecting() {
					gone = append(gone, a.id)
				}
				a.h.src = a.h.from()
				a.h.syn = ends{a.h.src, dst}
				i.discardOf(a.h)
			}
			if a.h.overtake == "" {
				rest = append(rest, a)
			} else {
				i.discardOf(a.h)
			}
		}
		clear(as[len(rest):])
		if s.awaiting[dst] = rest; len(rest) == 0 {
			delete(s.awaiting, dst)
		}
	}
	return gone
}
