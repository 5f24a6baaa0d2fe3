package e2e

import (
	"fmt"
	"testing"

	"upall/internal/event"
	"upall/internal/testenv"
)

// TestE2EAgentRecord: a run in the foreground is on record when its agent has ended,
// until `down`, which removes what is root's as well.
func TestE2EAgentRecord(t *testing.T) {
	t.Parallel()
	forAnEngine(t, func(t *testing.T, e testenv.Engine) {
		p := newAgentPod(t, e, lateServices)
		gate := p.gate("gate")
		r := p.up()
		r.wait("the hold", holdBegan("client", "server"))
		gate.open()
		r.allExit("client")
		if ended := r.wait("the end of the hold", holdEnded("client", "server")); ended.End != event.Released || ended.Way != event.Parked {
			t.Errorf("the hold was %s and %s (%s), want parked and released", ended.Way, ended.End, ended.Cause)
		}
		r.wait("the readiness of the server", func(e event.Event) bool { return e.Type == event.Ready && e.Service == "server" })
		if code := r.interrupt(); code != 130 {
			t.Errorf("upall ended with code %d, want 130", code)
		}
		if left := p.agents(); len(left) > 0 {
			t.Errorf("agents are left: %q", left)
		}
		p.observes("client server:7000/tcp 1\n")
		p.run("timeline").want(0).says("server", "ready")
		p.down()
		p.run("graph").want(0).says("has not run yet")
	})
}

// TestE2EAgentLeftovers: down removes what an agent could not that was killed.
func TestE2EAgentLeftovers(t *testing.T) {
	t.Parallel()
	forAnEngine(t, func(t *testing.T, e testenv.Engine) {
		p := newAgentPod(t, e, lateServices)
		p.gate("gate")
		p.run("up", "-d").want(0)
		p.clientWaits()
		p.docker("rm", "-f", p.agent())
		for _, path := range []string{"", ".lock", ".runs"} {
			if path := fmt.Sprintf("/run/upall/%s%s", p.name, path); !exists(path) {
				t.Errorf("there is no %s, and so nothing to remove", path)
			}
		}
		p.down()
	})
}
