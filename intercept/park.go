package intercept

import (
	"errors"
	"net/netip"
	"slices"
	"time"

	"upall/intercept/park"
	"upall/intercept/sockdiag"
	"upall/internal/event"
	"upall/internal/linux"
)

// space is a network namespace in which connects are parked.
type space struct {
	opening  chan struct{} // closed when parker and parkErr are valid; nil before start
	parker   *park.Parker
	parkErr  error
	diag     *sockdiag.Conn
	awaiting map[netip.AddrPort][]awaited // by target: marked, the SYN has not come yet
	parked   map[ends]*hold               // the SYN is in the queue
	late     map[netip.AddrPort][]uint32  // by target: packets of SYNs that come after their release
}

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

// start makes the queue and its rules. It goes on beside the loop, for the kernel
// takes some 30 ms, in which no call could be answered.
func (s *space) start(i *Interceptor) {
	if s.opening != nil {
		return
	}
	s.awaiting, s.parked = map[netip.AddrPort][]awaited{}, map[ends]*hold{}
	s.late = map[netip.AddrPort][]uint32{}
	s.opening = make(chan struct{})
	i.work.Go(func() {
		defer close(s.opening)
		s.parker, s.parkErr = park.Open(park.Options{
			Logger: i.log,
			Handle: func(p park.Packet) {
				select {
				case i.inputs <- func() { i.arrived(p) }:
				case <-i.quit:
				}
			},
			DisableNativeQueue: i.disabled.Has(linux.NativeQueue),
			DisableOwner:       i.disabled.Has(linux.TableOwner),
		})
		if s.parkErr != nil {
			i.log.Info("connects cannot be parked", "reason", s.parkErr)
		}
	})
}

// open waits until the queue is there and tells whether there is one.
func (s *space) open(i *Interceptor) bool {
	s.start(i)
	<-s.opening
	return s.parkErr == nil
}

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

func (s *space) close() error {
	var errs []error
	if s.opening != nil {
		<-s.opening
	}
	for _, as := range s.awaiting {
		for _, a := range as {
			if a.h.sock != nil {
				errs = append(errs, a.h.sock.Close())
			}
		}
	}
	if s.parker != nil {
		errs = append(errs, s.parker.Close())
	}
	if s.diag != nil {
		errs = append(errs, s.diag.Close())
	}
	return errors.Join(errs...)
}

func (s *space) awaitSYN(id uint64, h *hold) {
	s.awaiting[h.target] = append(s.awaiting[h.target], awaited{id, h})
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
func (i *Interceptor) arrived(p park.Packet) {
	if !i.space.open(i) { // another upall's SYN may come before we have parked any
		return
	}
	at := ends{p.Src, p.Dst}
	if h := i.space.parked[at]; h != nil {
		h.packet = p.ID
		return
	}
	h := i.space.take(p.Src, p.Dst)
	if h == nil {
		if i.instanceAt(p.Dst.Addr()) != nil {
			i.space.late[p.Dst] = append(i.space.late[p.Dst], p.ID)
			i.acceptLate(p.Dst)
			return
		}
		i.verdict(i.space.parker.Accept, p.ID)
		return
	}
	i.discardOf(h)
	h.packet, h.syn, h.arrived = p.ID, at, true
	if h.overtake != "" {
		i.judge(h, h.overtake)
		return
	}
	i.space.parked[at] = h
}

// acceptLate lets late SYNs go as far as the accept queue has room.
func (i *Interceptor) acceptLate(dst netip.AddrPort) {
	late := i.space.late[dst]
	now := min(i.space.room(dst), len(late))
	i.verdict(i.space.parker.Accept, late[:now]...)
	if now == len(late) {
		delete(i.space.late, dst)
	} else {
		i.space.late[dst] = late[now:]
	}
}

func (i *Interceptor) verdict(give func(...uint32) error, packets ...uint32) {
	if err := give(packets...); err != nil {
		i.log.Error("give a verdict on a parked connect", "error", err)
	}
}

// judge gives the verdict on the SYN of an ended hold.
func (i *Interceptor) judge(h *hold, end event.End) {
	delete(i.space.parked, h.syn)
	switch end {
	case event.Released:
		i.verdict(i.space.parker.Accept, h.packet)
	case event.Refused, event.Expired:
		i.verdict(i.space.parker.Refuse, h.packet)
	default:
		i.verdict(i.space.parker.Drop, h.packet)
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
func (i *Interceptor) goneParked() []uint64 {
	if len(i.space.parked) == 0 && len(i.space.awaiting) == 0 {
		return nil
	}
	diag, err := i.space.dial()
	if err != nil {
		return nil
	}
	connecting, err := diag.Connecting()
	if err != nil {
		i.log.Warn("look for parked clients", "error", err)
		return nil
	}
	alive := make(map[ends]bool, len(connecting))
	for _, c := range connecting {
		alive[ends{c.Local, c.Remote}] = true
	}
	var gone []uint64
	for id, h := range i.holds {
		if h.way == event.Parked && h.syn.src.Port() != 0 && !alive[h.syn] {
			gone = append(gone, id)
		}
	}
	return gone
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

func (s *space) dial() (*sockdiag.Conn, error) {
	if s.diag == nil {
		diag, err := sockdiag.Dial(0)
		if err != nil {
			return nil, err
		}
		s.diag = diag
	}
	return s.diag, nil
}

// room looks at the accept queue of the listener.
func (s *space) room(listener netip.AddrPort) int {
	diag, err := s.dial()
	if err != nil {
		return noRoomKnown
	}
	length, limit, err := diag.AcceptQueue(listener)
	if err != nil {
		return noRoomKnown
	}
	return room(length, limit)
}
