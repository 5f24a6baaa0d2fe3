package e2e

import (
	"fmt"
	"strings"
	"testing"

	"upall/internal/event"
	"upall/internal/testenv"
)

// maxGap is how long an event loop may stand still. It is far more than a
// loop needs on a busy machine and far less than the hold.
const maxGap = 1000 // milliseconds

// A program with one event loop goes on with its other work while its connect
// is held: its timer fires, and it answers on a port of its own.
func TestE2EEventLoopsRunDuringHold(t *testing.T) {
	t.Parallel()
	for name, command := range map[string]string{
		"node":    `[node, TOOLS/clients/ticker.js, server, "7000", "8081"]`,
		"asyncio": `[python3, TOOLS/clients/ticker.py, server, "7000", "8081"]`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "node" {
				testenv.NeedProgram(t, "node")
			}
			users(t, func(t *testing.T, user testenv.User) {
				p := newProject(t, user, `
  server: {command: [TOOLS/server, -gate, HERE/gate, -delay, 3s], expose: ["7000"]}
  ticker: {command: `+command+`, expose: ["8081"]}
  asker:  {command: [curl, -sS, --fail, "http://ticker:8081/"]}
`)
				ticksDuringHold(t, p)
			})
		})
	}
}

func ticksDuringHold(t *testing.T, p *project) {
	gate := p.gate("gate")
	r := p.up()
	r.wait("the hold", holdBegan("ticker", "server"))
	if code := r.waitExit("asker"); code != 0 {
		t.Errorf("the program did not answer during the hold: code %d", code)
	}
	if ended := r.all(holdEnded("ticker", "server")); len(ended) > 0 {
		t.Errorf("the hold ended before the server listened: %s (%s)", ended[0].End, ended[0].Cause)
	}
	gate.open()
	if code := r.waitExit("ticker"); code != 0 {
		t.Errorf("the program ended with code %d, want 0", code)
	}
	took, gap := 0, 0
	said := r.output("ticker")
	if _, err := fmt.Sscanf(said, "ok %d largest_gap_ms=%d", &took, &gap); err != nil {
		t.Fatalf("read what the program said, %q: %v", said, err)
	}
	t.Logf("connected after %d ms; the largest gap of a 10 ms timer was %d ms", took, gap)
	if took < 3000 {
		t.Errorf("the connect took %d ms, want at least the 3 s that the server was late", took)
	}
	if gap >= maxGap {
		t.Errorf("the loop stood still for %d ms, want less than %d ms", gap, maxGap)
	}
}

// A client's own timeout ends its connect, not the hold timeout.
func TestE2EOwnTimeout(t *testing.T) {
	t.Parallel()
	for name, command := range map[string]string{
		"node":   `[node, TOOLS/clients/connect.js, server, "7000", "1000"]`,
		"python": `[python3, TOOLS/clients/sockets.py, timeout, server, "7000", "1"]`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "node" {
				testenv.NeedProgram(t, "node")
			}
			users(t, func(t *testing.T, user testenv.User) {
				p := newProject(t, user, `
  server: {command: [TOOLS/server, -gate, HERE/gate], expose: ["7000"]}
  client: {command: `+command+`}
`)
				timesOut(t, p)
			})
		})
	}
}

func timesOut(t *testing.T, p *project) {
	p.gate("gate") // is never opened
	r := p.up()
	r.wait("the hold", holdBegan("client", "server"))
	if code := r.waitExit("client"); code != 1 {
		t.Errorf("the client ended with code %d, want 1", code)
	}
	after := 0
	said := r.output("client")
	if _, rest, ok := strings.Cut(said, "error timed out after="); ok {
		_, _ = fmt.Sscan(rest, &after) // 0 is reported below
	}
	if after < 900 || after > 10_000 {
		t.Errorf("the client said %q, want a timeout after about 1000 ms", said)
	}
	if ended := r.wait("the end of the hold", holdEnded("client", "server")); ended.End != event.Canceled {
		t.Errorf("the hold was %s (%s), want cancelled", ended.End, ended.Cause)
	}
}
