package e2e

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"upall/internal/testenv"
)

// returningServices have a client that waits until the gate opens. The engine starts
// all but the idle one again with itself.
const returningServices = `
  server: {BOX, command: [/tools/server, -gate, /here/gate], expose: ["7000"], restart: always}
  client: {BOX, command: [sh, -c, "/tools/goclient server 7000 && exec sleep 1000"], restart: always}
  idle:   {BOX, init: true, command: [sleep, "1000"]}
`

// TestE2EEngineRestarted: when the engine is started again, what it is to restart is up
// again, and held for. The supervisor is in place, or in an agent, which ends with
// the engine; that may be shut down, or be killed.
func TestE2EEngineRestarted(t *testing.T) {
	t.Parallel()
	t.Run("in place", func(t *testing.T) {
		t.Parallel()
		forAnEngine(t, func(t *testing.T, like testenv.Engine) {
			e := newOwnEngine(t, like)
			engineReturns(newPodOf(t, e.Engine, agentHeader+returningServices), e)
		})
	})
	t.Run("agent", func(t *testing.T) {
		t.Parallel()
		forEngines(t, func(t *testing.T, like testenv.Engine) {
			e := newOwnEngine(t, like)
			engineReturns(newAgentPod(t, e.Engine, returningServices).pod, e)
		})
	})
}

func engineReturns(p *pod, e *ownEngine) {
	for _, by := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		gate := p.gate("gate")
		p.run("up", "-d").want(0)
		p.clientHeld()
		for range 2 { // the second time at once: what comes back is still on its way
			e.end(by)
			e.start()
		}
		p.clientHeld()
		p.shows("idle-1 +idle +engine +exited")
		gate.open()
		p.shows("server-1 +server +engine +ready", "client-1 +client +engine +ready")
		p.run("down").want(0)
		if err := os.Remove(gate.path); err != nil {
			p.t.Fatal(err)
		}
	}
}

// shows waits until `upall ps` has such lines.
func (p *pod) shows(patterns ...string) {
	p.t.Helper()
	p.eventually(func() error {
		out := p.run("ps", "-a").want(0).stdout
		for _, pattern := range patterns {
			if !regexp.MustCompile("(?m)^" + pattern).MatchString(out) {
				return fmt.Errorf("no line %q:\n%s", pattern, out)
			}
		}
		return nil
	})
}

// clientHeld waits until the client's connect to the server is held.
func (p *pod) clientHeld() {
	p.t.Helper()
	p.eventually(func() error {
		if out := p.run("ps").want(0); !strings.Contains(out.stdout, "server:7000 for") {
			return fmt.Errorf("the client does not wait:\n%s", out.stdout)
		}
		return nil
	})
}
