package e2e

import (
	"slices"
	"strings"
	"testing"

	"upall/internal/event"
	"upall/internal/testenv"
)

// Two services that connect to each other after both listen need no order.
func TestE2EMutual(t *testing.T) {
	t.Parallel()
	users(t, func(t *testing.T, user testenv.User) {
		p := newProject(t, user, `
  left:  {command: [python3, TOOLS/clients/pair.py, listen, "7001", right, "7002"]}
  right: {command: [python3, TOOLS/clients/pair.py, listen, "7002", left, "7001"]}
`)
		r := p.up()
		r.wait("left's success", said("left", "ok connected to right"))
		r.wait("right's success", said("right", "ok connected to left"))
		if cycles := r.all(ofType(event.CycleFound)); len(cycles) > 0 {
			t.Errorf("a cycle was found where there is none: %v", cycles[0].Members)
		}
	})
}

// Two services that each wait for the other before they listen are shown as a
// cycle. The hold timeout ends it with the youngest edge, and a service that
// tries again lets both come up.
func TestE2ECycle(t *testing.T) {
	t.Parallel()
	users(t, func(t *testing.T, user testenv.User) {
		p := newProject(t, user, `
  elder:   {command: [python3, TOOLS/clients/pair.py, connect, "7001", younger, "7002"]}
  younger: {command: [python3, TOOLS/clients/pair.py, retry, "7002", elder, "7001", HERE/gate]}
`)
		gate := p.gate("gate")
		r := p.up("--hold-timeout", "12s") // python may take seconds to start
		r.wait("elder's hold", holdBegan("elder", "younger"))
		gate.open()
		cycle := r.wait("the cycle", ofType(event.CycleFound))
		members := slices.Sorted(slices.Values(cycle.Members))
		if !slices.Equal(slices.Compact(members), []string{"elder", "younger"}) {
			t.Errorf("the cycle's members are %v, want elder and younger", cycle.Members)
		}
		ended := r.wait("the end of younger's hold", holdEnded("younger", "elder"))
		if ended.End != event.Expired {
			t.Errorf("younger's hold was %s (%s), want expired", ended.End, ended.Cause)
		}
		r.wait("elder's success", said("elder", "ok connected to younger"))
		r.wait("younger's success", said("younger", "ok connected to elder"))
	})
}

func said(service, text string) match {
	return func(e event.Event) bool {
		return e.Type == event.Log && e.Service == service && strings.Contains(e.Message, text)
	}
}
