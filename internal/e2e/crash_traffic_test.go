package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"upall/internal/testenv"
)

// savedTotals is what the supervisor keeps of totals for its next life.
type savedTotals struct {
	View struct {
		Edges []struct {
			Client, Target string
			Count          uint64
		}
	}
	Traffic []struct {
		Edge   struct{ Client, Target string }
		Counts struct{ Sent, Received uint64 }
	}
}

// hasSaved tells whether totals of the client are saved that are those at least.
func (p *project) hasSaved(want edgeStats) error {
	var saved savedTotals
	data, err := os.ReadFile(filepath.Join(p.stateDir(), "private", "board.json"))
	if err == nil {
		err = json.Unmarshal(data, &saved)
	}
	if err != nil {
		return err
	}
	var is edgeStats
	for _, e := range saved.View.Edges {
		if e.Client == "client" && e.Target == "server" {
			is.Connects += e.Count
		}
	}
	for _, f := range saved.Traffic {
		if f.Edge.Client == "client" && f.Edge.Target == "server" {
			is.Sent, is.Received = is.Sent+f.Counts.Sent, is.Received+f.Counts.Received
		}
	}
	if is.Connects < want.Connects || is.Sent < want.Sent || is.Received < want.Received {
		return fmt.Errorf("saved are %d connects, %d sent, %d received, want those of %+v", is.Connects, is.Sent, is.Received, want)
	}
	return nil
}

// TestE2ETrafficCrash: after a crash totals go on. What is promised is that nothing is
// missing of connections that have ended a while before, and of those that begin after
// it. How long that while is at most depends on the machine, so the test waits until
// what it has seen is saved, and crashes when nothing is open.
func TestE2ETrafficCrash(t *testing.T) {
	t.Parallel()
	const (
		connects = 20
		exchange = `TOOLS/exchange -to server:7000 -n 20 -beside 4 -exact -up 30000 -down 20000`
	)
	p := newProject(t, root(t), `
  server: {command: [TOOLS/exchange], expose: ["7000"]}
  client: {command: [sh, -c, "`+exchange+` & read -r gate < HERE/gate; kill $$!; wait; exec `+exchange+`"]}
`)
	gate := p.gate("gate")
	r := p.up()
	sent, received := r.exchanged("client", 1)
	before, _ := p.counted(connects, 0)
	before.isTrue(t, sent, received)
	testenv.Eventually(t, patience, func() error { return p.hasSaved(before) })

	p.crash(p.mustSnapshot())
	if after, _ := p.stats("client", "server"); after.Connects != connects || after.Sent != before.Sent || after.Received != before.Received {
		t.Errorf("after the crash the totals are %+v, want those before it: %+v", after, before)
	}
	gate.open()
	moreSent, moreReceived := r.exchanged("client", 2)
	after, _ := p.counted(2*connects, 0)
	after.isTrue(t, sent+moreSent, received+moreReceived)
}
