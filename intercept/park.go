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
	id    uint64
	h     *hold
	since time.Time
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
	s.awaiting[to] = append(s.awaiting[to], awaited{id, h, time.Now()})
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
		h.packet, h.arrived = p.ID, true
		if h.overtake != "" {
			i.judge(h, h.overtake)
		}
		return
	}
	h := s.take(p.Src, p.Dst)
	if h == nil {
		if _, is := s.refused[at]; is { // the kernel has dropped its packet too, so it was not told
			i.refuse(s, at, p.ID)
			return
		}
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
	delete(s.refused, at)
	h.packet, h.syn, h.arrived = p.ID, at, true
	h.record.setSYN(at)
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
	case s.isRefusing(ends{p.Dst, p.Src}):
		i.verdict(s.parker.Accept, p.ID)
		return
	}
	verdict := s.parker.Accept
	if client := i.clientIn(s); client != nil {
		from := p.Src
		if from.Addr().IsLoopback() && from.Addr() != engineDNS && client.Loopback.IsValid() {
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

// How long after a refusal its own answer may come to the space, and a SYN that
// was not refused, for the kernel had dropped it, may come again.
const (
	answerLimit = time.Second
	againLimit  = 2 * time.Minute
)

// refuse has a client hear that it is refused.
func (i *Interceptor) refuse(s *space, syn ends, packet uint32) {
	s.refused[syn] = time.Now()
	i.verdict(s.parker.Refuse, packet)
}

// isRefusing tells whether an answer is that of our own refusal.
func (s *space) isRefusing(syn ends) bool {
	since, is := s.refused[syn]
	return is && time.Since(since) < answerLimit
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
		i.refuse(s, h.syn, h.packet)
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
