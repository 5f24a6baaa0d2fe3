package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"upall/internal/event"
	"upall/internal/testenv"
)

// exchanges are what clients of the program exchange do: many short connections of
// any sizes, some of them closed with a reset, or one long one.
var exchanges = []struct {
	name, arguments string
	connects        uint64
	open            int
}{
	{"short", `-n, "10000", -beside, "8", -up, "30000", -down, "30000", -resets, "20", -open, "5"`, 10_005, 5},
	{"long", `-exact, -up, "1073741824", -down, "0"`, 1, 0},
}

// tolerance is how far counts may be from the truth.
const tolerance = 0.001

// edgeStats is an edge, as `upall stats` has it in JSON.
type edgeStats struct {
	Client, Target string
	Connects       uint64
	Open           int
	Sent, Received uint64
	RTT            int64 `json:"rtt_ns"`
}

// sample is all that it has.
type sample struct {
	Edges     []edgeStats
	Instances []struct {
		Instance string
		Memory   uint64
		PIDs     int
	}
}

// exchanged waits until the client says for the nth time what it has sent and received.
func (r *run) exchanged(client string, n int) (sent, received uint64) {
	r.t.Helper()
	said := r.waitN(n, "what "+client+" has exchanged", func(e event.Event) bool {
		return e.Type == event.Log && e.Service == client && strings.HasPrefix(e.Message, "done ")
	})[n-1]
	if _, err := fmt.Sscanf(said.Message, "done %d %d", &sent, &received); err != nil {
		r.t.Fatalf("%s says %q: %v", client, said.Message, err)
	}
	return sent, received
}

// stats is what `upall stats` says of one edge.
func (p *project) stats(client, target string) (e edgeStats, all sample) {
	p.t.Helper()
	text, err := p.command("stats", "--no-stream", "--format", "json").Output()
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err != nil {
		p.t.Fatalf("upall stats: %v\n%s", err, text)
	}
	for _, e := range all.Edges {
		if e.Client == client && e.Target == target {
			return e, all
		}
	}
	p.t.Fatalf("no edge from %s to %s in %s", client, target, text)
	return e, all
}

// counted waits until upall has counted so many connects of the client, and has so many
// of them open: connects are told half a second late, and sockets close in their time.
func (p *project) counted(connects uint64, open int) (e edgeStats, all sample) {
	p.t.Helper()
	testenv.Eventually(p.t, patience, func() error {
		if e, all = p.stats("client", "server"); e.Connects != connects || e.Open != open {
			return fmt.Errorf("%d connects, %d open; want %d and %d", e.Connects, e.Open, connects, open)
		}
		return nil
	})
	return e, all
}

// isTrue compares the bytes with what the client says.
func (e edgeStats) isTrue(t *testing.T, sent, received uint64) {
	t.Helper()
	for what, counts := range map[string][2]uint64{"sent": {e.Sent, sent}, "received": {e.Received, received}} {
		got, want := float64(counts[0]), float64(counts[1])
		if off := got - want; max(off, -off) > tolerance*want {
			t.Errorf("%s: %.0f bytes, want %.0f", what, got, want)
		}
	}
	t.Logf("%d connects: sent %d of %d (%+d), received %d of %d (%+d)", e.Connects,
		e.Sent, sent, int64(e.Sent-sent), e.Received, received, int64(e.Received-received))
}

// countsTrue has a client exchange bytes, and compares what upall says of it.
func countsTrue(t *testing.T, p *project, r *run, connects uint64, open int) {
	t.Helper()
	sent, received := r.exchanged("client", 1)
	e, all := p.counted(connects, open)
	e.isTrue(t, sent, received)
	if open > 0 && e.RTT <= 0 {
		t.Errorf("round trip time %d ns with %d open", e.RTT, e.Open)
	}
	for _, i := range all.Instances {
		if i.Memory == 0 || i.PIDs == 0 {
			t.Errorf("%s uses nothing: %+v", i.Instance, i)
		}
	}
	if len(all.Instances) != 2 {
		t.Errorf("instances %+v, want two", all.Instances)
	}
}

// TestE2ETraffic: the bytes between processes are counted, also for an ordinary user.
func TestE2ETraffic(t *testing.T) {
	for _, x := range exchanges {
		t.Run(x.name, func(t *testing.T) {
			users(t, func(t *testing.T, user testenv.User) {
				p := newProject(t, user, `
  server: {command: [TOOLS/exchange], expose: ["7000"]}
  client: {command: [TOOLS/exchange, -to, "server:7000", `+x.arguments+`]}
`)
				countsTrue(t, p, p.up(), x.connects, x.open)
			})
		})
	}
}

// TestE2EEngineTraffic: those between containers are, too.
func TestE2EEngineTraffic(t *testing.T) {
	for _, x := range exchanges {
		t.Run(x.name, func(t *testing.T) {
			forEngines(t, func(t *testing.T, e testenv.Engine) {
				p := newPod(t, e, `
  server: {BOX, command: [/tools/exchange], expose: ["7000"]}
  client: {BOX, command: [/tools/exchange, -to, "server:7000", `+x.arguments+`]}
`)
				countsTrue(t, p.project, p.up(), x.connects, x.open)
			})
		})
	}
}
