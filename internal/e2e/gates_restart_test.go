package e2e

import (
	"errors"
	"strings"
	"testing"
	"time"

	"upall/internal/event"
)

// A client that connects while its server is between two runs is served by the
// next one, and the snapshot says what goes on.
func TestE2EGatesBackoff(t *testing.T) {
	t.Parallel()
	forRuntimes(t, func(t *testing.T, newGates func(string) *pod) {
		for _, policy := range []string{"always", "on-failure:3"} {
			t.Run(policy, func(t *testing.T) {
				p := newGates(`
  server: {BOX, expose: ["7000"], restart: "` + policy + `", command: [sh, -c, "echo try >> /here/tries; test $$(wc -l < /here/tries) -ge 4 || exit 3; read gate < /here/gate; exec /tools/server"]}
  client: {BOX, command: [/tools/goclient, server, "7000"]}
`)
				gate := p.gate("gate")
				r := p.up()
				restarting := r.wait("a back-off", func(e event.Event) bool {
					return e.Type == event.StateChanged && e.State == event.Restarting
				})
				// The engine does not say when it starts one.
				if wait := restarting.At.Sub(restarting.Time); restarting.Code != 3 || p.isProcesses() && (wait <= 0 || wait > time.Second) {
					t.Errorf("the restart is told with code %d, %v before it, want code 3 and a short time", restarting.Code, wait)
				}
				p.eventually(func() error {
					for _, i := range p.view().Instances {
						if i.Service == "server" && i.Restarts == 3 {
							return nil
						}
					}
					return errors.New("the snapshot does not say that the server was restarted 3 times")
				})
				gate.open()
				r.allExit("client")
				for _, ended := range r.all(holdEnded("client", "server")) {
					if ended.End != event.Released {
						t.Errorf("a hold was %s (%s), want released", ended.End, ended.Cause)
					}
				}
				r.interrupt()
			})
		}
	})
}

// The snapshot says when an instance will be started again.
func TestE2EGatesRestartAt(t *testing.T) {
	t.Parallel()
	p := processPod(t, root(t), `
  server: {restart: always, command: [sh, -c, "exit 3"]}
`)
	p.run("up", "-d").want(0)
	p.eventually(func() error {
		for _, i := range p.view().Instances {
			if i.State == event.Restarting && i.Restarts >= 3 && time.Until(i.RestartAt) > 0 {
				return nil
			}
		}
		return errors.New("the snapshot does not say that the server restarts, and when")
	})
}

// After the last start that the policy allows, who waits is refused.
func TestE2EGatesLastStart(t *testing.T) {
	t.Parallel()
	forRuntimes(t, func(t *testing.T, newGates func(string) *pod) {
		p := newGates(`
  server: {BOX, expose: ["7000"], restart: "on-failure:3", command: [sh, -c, "echo try; exit 3"]}
  client: {BOX, command: [/tools/goclient, server, "7000"]}
`)
		r := p.up()
		if code := r.waitExit("client"); code != 1 {
			t.Errorf("the client ended with code %d, want 1", code)
		}
		if ended := r.wait("the end of the hold", holdEnded("client", "server")); ended.End != event.Refused || !strings.Contains(ended.Cause, "exited with code 3") {
			t.Errorf("the hold was %s (%s), want refused with the exit code of the server", ended.End, ended.Cause)
		}
		r.end()
		if n := strings.Count(r.output("server"), "try"); n != 4 {
			t.Errorf("the server ran %d times, want 4", n)
		}
	})
}
