package e2e

import (
	"strings"
	"testing"
	"time"

	"upall/internal/event"
)

// releaseLimit is how long after the end of a job its dependents' connects are
// released at most. It is some milliseconds, but for a machine that is busy with
// other tests.
const releaseLimit = 20 * time.Second

// A service that depends on a job starts at once, and its first connect waits for
// the job, though what it connects to has long been there.
func TestE2EGatesJob(t *testing.T) {
	t.Parallel()
	forRuntimes(t, func(t *testing.T, newGates func(string) *pod) {
		p := newGates(`
  db:      {BOXT, expose: ["7000"], command: [/tools/server]}
  migrate: {BOXH, command: [sh, -c, "read gate < /here/gate; echo migrated"]}
  api:     {BOXT, command: [/tools/goclient, db, "7000"], depends_on: {migrate: {condition: service_completed_successfully}}}
`)
		gate := p.gate("gate")
		r := p.up()
		r.wait("the database", func(e event.Event) bool { return e.Type == event.Ready && e.Service == "db" })
		if began := r.wait("the hold", holdBegan("api", "db")); !strings.Contains(began.Cause, "migrate") {
			t.Errorf("the hold waits for %q, want that it names migrate", began.Cause)
		}
		gate.open()
		r.allExit("migrate", "api")
		over := r.wait("the end of the job", exited("migrate"))
		ended := r.wait("the end of the hold", holdEnded("api", "db"))
		if took := ended.Time.Sub(over.Time); ended.End != event.Released || took > releaseLimit {
			t.Errorf("the hold was %s (%s) %v after the job, want released within %v", ended.End, ended.Cause, took, releaseLimit)
		} else {
			t.Logf("released %v after the end of the job", took)
		}
		r.before("api's hold", "the end of the job", holdBegan("api", "db"), exited("migrate"))
		r.interrupt()
	})
}

// What a job writes into files that both mount no connect can see: the start of who
// depends on it waits.
func TestE2EGatesJobFiles(t *testing.T) {
	t.Parallel()
	forRuntimes(t, func(t *testing.T, newGates func(string) *pod) {
		p := newGates(`
  migrate: {BOX, command: [sh, -c, "read gate < /here/gate; echo migrated"]}
  api:     {BOX, command: [sh, -c, "echo api runs"], depends_on: {migrate: {condition: service_completed_successfully}}, x-upall: {gates: {migrate: start}}}
`)
		gate := p.gate("gate")
		r := p.up()
		r.wait("the job", startedAs("migrate"))
		if n := len(r.all(startedAs("api"))); n != 0 {
			t.Error("api was started before the job had ended")
		}
		gate.open()
		r.allExit("migrate", "api")
		r.before("the end of the job", "the start of api", exited("migrate"), startedAs("api"))
		if code := r.end(); code != 0 {
			t.Errorf("upall ended with code %d, want 0", code)
		}
	})
}

// A job that fails: who depends on it is refused, with the reason, and up --wait
// says what the job said last.
func TestE2EGatesJobFails(t *testing.T) {
	t.Parallel()
	const services = `
  db:      {BOXT, expose: ["7000"], command: [/tools/server]}
  migrate: {BOXH, command: [sh, -c, "read gate < /here/gate; for n in $$(seq 12); do echo line $$n.; done; exit 3"]}
  api:     {BOXT, command: [/tools/goclient, db, "7000"], depends_on: {migrate: {condition: service_completed_successfully}}}
`
	forRuntimes(t, func(t *testing.T, newGates func(string) *pod) {
		p := newGates(services)
		gate := p.gate("gate")
		r := p.up()
		r.wait("the hold", holdBegan("api", "db"))
		gate.open()
		if ended := r.wait("the end of the hold", holdEnded("api", "db")); ended.End != event.Refused || !strings.Contains(ended.Cause, "migrate exited with code 3") {
			t.Errorf("the hold was %s (%s), want refused because of the job", ended.End, ended.Cause)
		}
		r.waitExit("api")
		r.wait("the refused connect", said("api", "connection refused"))
		r.interrupt()
		if said := r.printed(); !strings.Contains(said, "migrate exited with code 3") {
			t.Errorf("upall does not say why api was refused: %s", said)
		}
		waits := p.run("up", "-d", "--wait").want(1).says("migrate-1 exited with code 3", "line 3.", "line 12.")
		if strings.Contains(waits.stderr, "line 2.") {
			t.Errorf("up --wait says more than the last 10 lines: %s", waits.stderr)
		}
		p.run("down", "-t", "0").want(0) // what has failed the wait stays up
	})
}

// A job that ends with 0 is what up --wait waits for.
func TestE2EGatesJobWait(t *testing.T) {
	t.Parallel()
	forRuntimes(t, func(t *testing.T, newGates func(string) *pod) {
		p := newGates(`
  db:      {BOXT, expose: ["7000"], command: [/tools/server]}
  migrate: {BOXT, command: [/tools/goclient, db, "7000"]}
  api:     {BOXT, expose: ["7000"], command: [sh, -c, "/tools/goclient db 7000 && exec /tools/server"], depends_on: {migrate: {condition: service_completed_successfully}}}
`)
		p.run("up", "-d", "--wait").want(0).says("the project is up")
		states := map[string]event.State{}
		for _, i := range p.view().Instances {
			states[i.Service] = i.State
		}
		if states["migrate"] != event.Exited || states["api"] != event.StateReady {
			t.Errorf("after up --wait the states are %v", states)
		}
	})
}
