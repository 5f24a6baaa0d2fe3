package e2e

import (
	"os"
	"strings"
	"testing"
	"time"

	"upall/internal/event"
	"upall/internal/testenv"
)

// killedServices have a client that has ended, one that waits, and what does not
// end by itself: a session of its own, and a program that ignores signals.
const killedServices = `
  server: {command: [TOOLS/server], expose: ["7000"]}
  client: {command: [TOOLS/goclient, server, "7000"]}
  waiter: {command: [TOOLS/goclient, late, "7000"]}
  late:   {command: [TOOLS/server, -gate, HERE/gate], expose: ["7000"]}
  daemon: {command: [sh, -c, "setsid sh -c 'echo daemon runs; exec sleep 1000' & wait"]}
  deaf:   {command: [sh, -c, "trap '' TERM INT HUP; echo deaf runs; read -r gate < HERE/gate"]}
`

func (p *project) upToKill() *run {
	p.t.Helper()
	r := p.up()
	r.wait("the client's end", exited("client"))
	r.wait("a hold", holdBegan("waiter", "late"))
	r.wait("the daemon", said("daemon", "daemon runs"))
	r.wait("the deaf service", said("deaf", "deaf runs"))
	return r
}

// After kill -9 of upall up the project goes on as if nothing had happened, and
// the next up shows it, and ends it with Ctrl-C.
func TestE2EKilled(t *testing.T) {
	t.Parallel()
	users(t, func(t *testing.T, user testenv.User) {
		p := newProject(t, user, killedServices)
		gate := p.gate("gate")
		p.upToKill().kill()

		again := p.up()
		if code := again.waitExit("client"); code != 0 {
			t.Errorf("client, which had ended, ended with code %d when it was started again, want 0", code)
		}
		gate.open()
		if code := again.waitExit("waiter"); code != 0 {
			t.Errorf("waiter ended with code %d, want 0", code)
		}
		again.waitExit("deaf")
		if ended := again.wait("the end of the hold", holdEnded("waiter", "late")); ended.End != event.Released {
			t.Errorf("the hold was %s (%s), want released", ended.End, ended.Cause)
		}
		for _, service := range []string{"server", "waiter", "late", "daemon", "deaf"} {
			if started := again.all(startedAs(service)); len(started) > 0 {
				t.Errorf("%s ran, and was started again", service)
			}
		}
		if code := again.interrupt(); code != 130 {
			t.Errorf("upall ended with code %d, want 130", code)
		}
	})
}

// After kill -9 of the supervisor and of the keeper, which would start it again,
// no process of the project is left, and the next run works.
func TestE2EAllKilled(t *testing.T) {
	t.Parallel()
	users(t, func(t *testing.T, user testenv.User) {
		p := newProject(t, user, killedServices)
		gate := p.gate("gate")
		r := p.upToKill()
		p.killSupervisor()
		if code := r.end(); code != 1 {
			t.Errorf("upall ended with code %d without its supervisor, want 1", code)
		}
		p.nothingLeft(stopPatience)

		gate.open()
		again := p.up()
		for _, client := range []string{"client", "waiter"} {
			if code := again.waitExit(client); code != 0 {
				t.Errorf("%s ended with code %d in the next run, want 0", client, code)
			}
		}
	})
}

// Ctrl-C ends a project within its services' grace, a second one at once.
func TestE2EInterrupt(t *testing.T) {
	t.Parallel()
	const services = `
  deaf:   {command: [sh, -c, "trap '' TERM INT HUP; echo deaf runs; read -r gate < HERE/gate"], stop_grace_period: 1000s}
  waiter: {command: [TOOLS/goclient, deaf, "7000"]}
`
	t.Run("once", func(t *testing.T) {
		t.Parallel()
		users(t, func(t *testing.T, user testenv.User) {
			p := newProject(t, user, services)
			p.gate("gate")
			r := p.up("-t", "1")
			r.wait("a hold", holdBegan("waiter", "deaf"))
			r.wait("the deaf service", said("deaf", "deaf runs"))
			if code := r.interrupt(); code != 130 {
				t.Errorf("upall ended with code %d, want 130", code)
			}
		})
	})
	t.Run("twice", func(t *testing.T) {
		t.Parallel()
		users(t, func(t *testing.T, user testenv.User) {
			p := newProject(t, user, services)
			p.gate("gate")
			r := p.up()
			r.wait("a hold", holdBegan("waiter", "deaf"))
			r.wait("the deaf service", said("deaf", "deaf runs"))
			r.signal(os.Interrupt)
			// That the first was taken shows in the waiter, which ends by it.
			r.wait("the waiter's end", exited("waiter"))
			began := time.Now()
			if code := r.interrupt(); code != 130 {
				t.Errorf("upall ended with code %d, want 130", code)
			}
			if took := time.Since(began); took > stopPatience {
				t.Errorf("the second interrupt took %v, want an end at once", took)
			}
		})
	})
}

// upall ends by itself with its services, with the first failing one's code.
func TestE2EExitCode(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		args string
		want int
	}{
		{"all end", "", 4},
		{"exit code from", "--exit-code-from good", 0},
		{"abort on failure", "--abort-on-container-failure", 4},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := newProject(t, ordinary(t), `
  good: {command: [sh, -c, "echo good runs"]}
  bad:  {command: [sh, -c, "read -r gate < HERE/gate; exit 4"]}
`)
			gate := p.gate("gate")
			r := p.up(strings.Fields(test.args)...)
			r.wait("the end of good", exited("good"))
			if test.want != 0 {
				gate.open()
			}
			if code := r.end(); code != test.want {
				t.Errorf("upall ended with code %d, want %d", code, test.want)
			}
			stdout, err := os.ReadFile(r.stdout)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(stdout), "good-1  | good runs\n") {
				t.Errorf("stdout is %q, want the line of good with its prefix", stdout)
			}
		})
	}
}
