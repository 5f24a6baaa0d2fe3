package timeline

import (
	"slices"
	"time"
)

// Doing is what a run does in a Phase.
type Doing string

// What runs do, in the order of a life.
const (
	IsCreated   Doing = "created"   // its program does not run yet
	IsStarting  Doing = "starting"  // it works
	IsHeld      Doing = "held"      // a connect of it waits
	IsListening Doing = "listening" // it is not ready yet
	IsReady     Doing = "ready"
	IsStopping  Doing = "stopping" // it was asked to end
)

// doings are all, in this order.
func doings() []Doing {
	return []Doing{IsCreated, IsStarting, IsHeld, IsListening, IsReady, IsStopping}
}

// Phase is a part of a run. The phases of a run follow each other without gaps.
type Phase struct {
	Doing Doing         `json:"doing"`
	From  time.Duration `json:"from_ns"`
	To    time.Duration `json:"to_ns"`
}

// span is a part of time.
type span struct{ from, to time.Duration }

// waits are the parts of time in which some connect of a run waits, in order and
// apart from each other.
func (r *Run) waits(until time.Duration) (apart []span) {
	all := make([]span, 0, len(r.Holds))
	for _, h := range r.Holds {
		to := until
		if h.To != nil {
			to = min(to, *h.To)
		}
		if h.From < to {
			all = append(all, span{h.From, to})
		}
	}
	slices.SortFunc(all, func(a, b span) int { return int(min(1, max(-1, a.from-b.from))) })
	for _, s := range all {
		if n := len(apart); n > 0 && s.from <= apart[n-1].to {
			apart[n-1].to = max(apart[n-1].to, s.to)
			continue
		}
		apart = append(apart, s)
	}
	return apart
}

// phases divides a run, which goes on until last where it has not ended.
func (r *Run) phases(last time.Duration) (all []Phase) {
	end := max(r.known, last)
	if r.Ended != nil {
		end = *r.Ended
	}
	waits := r.waits(end)
	cuts := []time.Duration{r.known, end}
	for _, s := range waits {
		cuts = append(cuts, s.from, s.to)
	}
	for _, at := range []*time.Duration{r.Started, r.firstListen(), r.Ready, r.Stopping} {
		if at != nil {
			cuts = append(cuts, *at)
		}
	}
	slices.Sort(cuts)
	cuts = slices.Compact(cuts)
	for n, from := range cuts[:len(cuts)-1] {
		if from < r.known || from >= end {
			continue
		}
		doing, to := r.doing(from, waits), min(end, cuts[n+1])
		if k := len(all) - 1; k >= 0 && all[k].Doing == doing {
			all[k].To = to
			continue
		}
		all = append(all, Phase{doing, from, to})
	}
	return all
}

// doing tells what a run does from a moment on.
func (r *Run) doing(at time.Duration, waits []span) Doing {
	hasCome := func(moment *time.Duration) bool { return moment != nil && *moment <= at }
	_, isHeld := slices.BinarySearchFunc(waits, at, func(s span, at time.Duration) int {
		switch {
		case s.to <= at:
			return -1
		case s.from > at:
			return 1
		}
		return 0
	})
	switch {
	case hasCome(r.Stopping):
		return IsStopping
	case hasCome(r.Ready) && (!isHeld || len(r.Listening) > 0): // else that was too early
		return IsReady
	case isHeld:
		return IsHeld
	case hasCome(r.firstListen()):
		return IsListening
	case hasCome(r.Started):
		return IsStarting
	}
	return IsCreated
}

func (r *Run) firstListen() *time.Duration {
	if len(r.Listening) == 0 {
		return nil
	}
	return &r.Listening[0].At
}
