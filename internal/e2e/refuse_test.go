package e2e

import (
	"strings"
	"testing"
	"time"

	"upall/internal/event"
	"upall/internal/testenv"
)

// A connect that nobody will ever accept is refused long before the hold
// timeout, which is 60 s.
func TestE2ERefused(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		server string
		opens  bool // whether the gate is opened
		cause  string
	}{
		{"wrong port of a service with declared ports", `{command: [TOOLS/server, -port, "7001"], expose: ["7001"]}`, false, "7001"},
		{"wrong port of a service without declared ports", `{command: [TOOLS/server, -port, "7001"]}`, false, "7001"},
		{"service that ends well", `{command: [TOOLS/server, -gate, HERE/gate, -exit, "0"]}`, true, "exited"},
		{"service that fails", `{command: [TOOLS/server, -gate, HERE/gate, -exit, "3"], expose: ["7000"]}`, true, "exited with code 3"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			users(t, func(t *testing.T, user testenv.User) {
				p := newProject(t, user, `
  server: `+test.server+`
  client: {command: [TOOLS/goclient, server, "7000"]}
`)
				gate := p.gate("gate")
				r := p.up()
				if test.opens {
					r.wait("the hold", holdBegan("client", "server"))
					gate.open()
				}
				isRefused(t, r, test.cause)
			})
		})
	}
}

func isRefused(t *testing.T, r *run, cause string) {
	t.Helper()
	if code := r.waitExit("client"); code != 1 {
		t.Errorf("the client ended with code %d, want 1", code)
	}
	want := "connection refused"
	if holds := r.all(holdBegan("client", "server")); len(holds) > 0 && holds[0].Way == event.Early {
		want = "connection reset" // an early listener's clients are connected already
	}
	if said := r.output("client"); !strings.Contains(said, want) {
		t.Errorf("the client said %q, want %s", said, want)
	}
	for _, e := range r.all(holdEnded("client", "server")) {
		if e.End != event.Refused {
			t.Errorf("the hold was %s, want refused", e.End)
		}
		if !strings.Contains(e.Cause, cause) {
			t.Errorf("the cause is %q, want one with %q", e.Cause, cause)
		}
		if e.Elapsed > 30*time.Second {
			t.Errorf("the hold lasted %v, want much less than the hold timeout", e.Elapsed)
		}
	}
}

// The hold timeout ends the hold of a service that never listens.
func TestE2EExpired(t *testing.T) {
	t.Parallel()
	users(t, func(t *testing.T, user testenv.User) {
		p := newProject(t, user, `
  server: {command: [TOOLS/server, -gate, HERE/gate], expose: ["7000"]}
  client: {command: [TOOLS/goclient, server, "7000"]}
`)
		p.gate("gate") // is never opened
		r := p.up("--hold-timeout", "2s")
		if code := r.waitExit("client"); code != 1 {
			t.Errorf("the client ended with code %d, want 1", code)
		}
		ended := r.wait("the end of the hold", holdEnded("client", "server"))
		if ended.End != event.Expired {
			t.Errorf("the hold was %s (%s), want expired", ended.End, ended.Cause)
		}
		if ended.Elapsed < 2*time.Second {
			t.Errorf("the hold lasted %v, want 2s at least", ended.Elapsed)
		}
	})
}
