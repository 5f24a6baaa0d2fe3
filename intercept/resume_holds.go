package intercept

import (
	"cmp"
	"slices"
	"time"

	"upall/intercept/registry"
	"upall/intercept/seccomp"
	"upall/internal/event"
)

// resumeHolds sorts the records: a hold whose call waits is done again with its
// call, one that is held already is gone on with, and one that has no client any
// more ends.
func (i *Interceptor) resumeHolds(sources []resumed) {
	byNumber := map[uint64]*source{}
	for _, s := range sources {
		byNumber[s.number] = s.source
	}
	if i.records != nil {
		i.lastID = max(i.lastID, i.records.head.lastID)
	}
	used := i.records.inUse()
	slices.SortFunc(used, func(a, b *record) int { return cmp.Compare(a.id, b.id) })
	for _, r := range used {
		i.lastID = max(i.lastID, r.id)
		switch s := byNumber[r.notify]; {
		case s == nil:
			i.finish(nil, r)
		case s.fd.IsValid(r.call):
			s.redo[r.call] = r
		default:
			i.resumeHold(s, r)
		}
	}
}

// resumeHold goes on with a hold whose call was answered: with a SYN in the queue or
// on its way there, or with a place in a backlog.
func (i *Interceptor) resumeHold(s *source, r *record) {
	h := i.heldBefore(s, r)
	if r.has(passing) || !i.isHeldStill(h) {
		i.finish(s, r)
		return
	}
	r.unset(performing)
	h.restored = true
	i.goOn(h)
}

// heldBefore is a hold as its record tells of it.
func (i *Interceptor) heldBefore(s *source, r *record) *hold {
	h := &hold{source: s, record: r, tgid: int(r.tgid)}
	h.call = seccomp.Notification{ID: r.call, PID: r.pid, Nr: r.nr}
	h.call.Args[0] = uint64(uint32(r.fd)) //nolint:gosec // as the kernel takes it
	i.remember(h)
	return h
}

// remember gives the hold what its record tells, but what the call tells too.
func (i *Interceptor) remember(h *hold) {
	r, loopback := h.record, h.source.instance.Loopback
	h.asked, h.target, h.to = r.asked.addrPort(loopback), r.target.addrPort(loopback), r.to.addrPort(loopback)
	h.began, h.untold, h.way, h.cookie = r.beganAt(), !r.has(beganTold), recordWays[r.way], r.cookie
	if r.has(synKnown) {
		h.syn = ends{r.src.addrPort(loopback), r.dst.addrPort(loopback)}
		h.src = h.syn.src
	}
}

// isHeldStill puts the hold where its SYN, if it has one, is looked for. It is
// false where there is nothing that could be waited for.
func (i *Interceptor) isHeldStill(h *hold) bool {
	s := h.source.space
	switch h.way {
	case event.Early:
		return true
	case event.Parked:
		if h.record.has(synKnown) {
			s.parked[h.syn] = h
			return true
		}
		// The SYN may be in the queue, or come when the client's thread runs again.
		// If the thread has ended, its socket cannot be found, but the SYN can.
		h.sock = h.again()
		s.awaitSYN(h.record.id, h, i.actual(h))
		return true
	}
	return false // the call was answered, so it was not kept any more
}

// connectAgain decides on a connect whose call an earlier process has received, and
// of which it had written down that it waits, or that it is being performed.
func (s *source) connectAgain(h *hold, r *record) {
	h.record, h.redone = r, true
	r.unset(performing) // who did that is dead: the connect may be found done now, without any wait
	if r.has(passing) {
		s.perform(h)
		s.discardOf(h)
		s.retire(h)
		return
	}
	sock := h.sock
	s.remember(h)
	h.sock, h.redo = sock, true
	s.goOn(h)
}

// goOn asks the registry again, or ends what was about to end.
func (i *Interceptor) goOn(h *hold) {
	r := h.record
	i.holds[r.id] = h
	if end := recordEnds[int(r.end)%len(recordEnds)]; end != "" {
		if n := i.serverAt(h.target); n != nil {
			h.server = n.Name
		}
		i.endHold(r.id, end, r.why(), time.Since(h.began))
		return
	}
	i.step(registry.Connect{ID: r.id, Client: h.source.instance.Name, Target: h.target, Began: h.began})
}

// finish ends the record of a connect whose client is gone, or whose call goes on
// without a hold. s is nil if its source is gone too.
func (i *Interceptor) finish(s *source, r *record) {
	if s != nil && r.has(madeNonblk) {
		if sock := dupCookie(int(r.pid), int(r.fd), r.cookie, i.threadFDs); sock != nil {
			i.logIf("finish a connect for a client", sock.SetNonblock(false))
			i.discard(sock)
		}
	}
	if isHold := recordWays[int(r.way)%len(recordWays)] != ""; isHold && !r.has(passing) {
		i.tellLost(&hold{source: s, record: r})
	}
	i.records.drop(r)
}

// tellLost tells of the end of a hold of which only the record is left. Its begin may
// have been told without a word in the record: who hears it twice knows it as the same.
func (i *Interceptor) tellLost(h *hold) {
	r := h.record
	end := cmp.Or(recordEnds[int(r.end)%len(recordEnds)], event.Canceled)
	h.way = recordWays[int(r.way)%len(recordWays)]
	h.began = r.beganAt()
	h.target = r.target.addrPort(i.loopbackOf(h))
	if n := i.serverAt(h.target); n != nil {
		h.server = n.Name
	}
	h.untold = !r.has(beganTold)
	i.tellHold(r.id, h)
	i.tellEnd(r.id, h, end, cmp.Or(r.why(), "the client went away"), time.Since(h.began))
}
