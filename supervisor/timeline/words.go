package timeline

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"upall/internal/event"
	"upall/internal/words"
)

// clean makes a name fit to be shown in a line.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, text)
}

// share is what one instance has of a Path.
type share struct {
	title    string
	cost     time.Duration
	segments []Segment
}

// shares are those of a Path, in the order in which the instances come in it.
func (p *Path) shares() (all []share) {
	for _, s := range p.Segments {
		n := slices.IndexFunc(all, func(a share) bool { return a.title == s.title })
		if n < 0 {
			n = len(all)
			all = append(all, share{title: s.title})
		}
		all[n].cost += s.To - s.From
		all[n].segments = append(all[n].segments, s)
	}
	return all
}

// Summary says in a line what the start cost: first who cost most, then the others.
func (p *Path) Summary() string {
	all := p.shares()
	if len(all) == 0 {
		return "the start took no time"
	}
	most := slices.MaxFunc(all, func(a, b share) int { return cmp.Compare(a.cost, b.cost) })
	parts := slices.Clone(most.segments)
	slices.SortStableFunc(parts, func(a, b Segment) int { return cmp.Compare(b.To-b.From, a.To-a.From) })
	var costs []string
	for _, s := range parts[:min(2, len(parts))] {
		if s.To-s.From >= brief || len(costs) == 0 {
			costs = append(costs, words.Seconds(s.To-s.From)+" "+s.What)
		}
	}
	line := fmt.Sprintf("%s cost %s of %s: %s", clean(most.title), words.Seconds(most.cost), words.Seconds(p.Total), strings.Join(costs, ", "))
	var rest []string
	for _, s := range all {
		if s.title != most.title {
			rest = append(rest, clean(s.title)+" "+words.Seconds(s.cost))
		}
	}
	if len(rest) > 0 {
		line += "; besides " + strings.Join(rest, ", ")
	}
	return line
}

// Summary says in a line what dependency order would have cost, against what the
// start took.
func (e *Estimate) Summary(took time.Duration) string {
	order := "by the conditions that the files declare"
	if e.Basis == Observed {
		order = "by the connects that were seen"
	}
	line := fmt.Sprintf("in dependency order, %s: about %s (an estimate; this start took %s)", order, words.Seconds(e.Total), words.Seconds(took))
	if len(e.Missing) > 0 {
		line += ", without " + clean(strings.Join(e.Missing, ", "))
	}
	return line
}

// outcome says where an instance has come to.
func (i *Instance) outcome() string {
	a, ok := i.arrival()
	at, failed := i.failure()
	switch {
	case ok && a.moment == Ready:
		return "ready " + words.Seconds(a.at)
	case ok:
		return "exit 0 " + words.Seconds(a.at)
	case len(i.Runs) == 0:
		return "not started"
	}
	last := i.Runs[len(i.Runs)-1]
	switch {
	case failed && last.State == event.Failed:
		return "failed " + words.Seconds(at)
	case failed:
		return fmt.Sprintf("exit %d %s", last.Code, words.Seconds(at))
	case last.Stopping != nil:
		return "stopped"
	}
	return i.standing(last)
}

// standing says what an instance does that is not ready yet.
func (i *Instance) standing(last *Run) string {
	for _, h := range last.Holds {
		if h.To == nil {
			return fmt.Sprintf("%s:%d?", h.Target, h.Port)
		}
	}
	switch {
	case last.Ended != nil:
		return "restarting"
	case len(last.Listening) > 0:
		return "listening"
	case last.Started != nil:
		return "starting"
	}
	return "created"
}
