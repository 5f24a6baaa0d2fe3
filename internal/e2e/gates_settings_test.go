package e2e

import (
	"strings"
	"testing"

	"upall/internal/event"
)

// An optional job that fails is told as a warning, and who depends on it goes on.
func TestE2EGatesOptional(t *testing.T) {
	t.Parallel()
	forRuntimes(t, func(_ *testing.T, newGates func(string) *pod) {
		p := newGates(`
  db:   {BOXT, expose: ["7000"], command: [/tools/server]}
  seed: {BOXH, command: [sh, -c, "read gate < /here/gate; exit 3"]}
  api:  {BOXT, command: [/tools/goclient, db, "7000"], depends_on: {seed: {condition: service_completed_successfully, required: false}}}
`)
		gate := p.gate("gate")
		r := p.up()
		r.wait("the hold", holdBegan("api", "db"))
		gate.open()
		r.allExit("api")
		r.wait("the warning", warnsOf("seed exited with code 3"))
		r.interrupt()
	})
}

// restart: true has upall restart the dependent too, after its dependency.
func TestE2EGatesRestart(t *testing.T) {
	t.Parallel()
	forRuntimes(t, func(t *testing.T, newGates func(string) *pod) {
		p := newGates(`
  db:  {BOXT, expose: ["7000"], command: [/tools/server]}
  api: {BOXT, expose: ["7000"], command: [sh, -c, "/tools/goclient db 7000 && exec /tools/server"], depends_on: {db: {condition: service_started, restart: true}}}
  web: {BOXT, expose: ["7000"], command: [sh, -c, "/tools/goclient api 7000 && exec /tools/server"]}
`)
		r := p.up()
		r.wait("web", func(e event.Event) bool { return e.Type == event.Ready && e.Service == "web" })
		p.run("restart", "db").want(0)
		r.waitN(2, "the second starts of db", startedAs("db"))
		r.waitN(2, "the second starts of api", startedAs("api"))
		r.waitN(2, "that api is ready again", func(e event.Event) bool { return e.Type == event.Ready && e.Service == "api" })
		if n := len(r.all(startedAs("web"))); n != 1 {
			t.Errorf("web was started %d times, want once", n)
		}
		p.run("restart", "--no-deps", "db").want(0)
		r.waitN(3, "the third starts of db", startedAs("db"))
		if n := len(r.all(startedAs("api"))); n != 2 {
			t.Errorf("api was started %d times after a restart without dependents, want twice", n)
		}
		r.interrupt()
	})
}

// x-upall.gates says what an entry of depends_on becomes.
func TestE2EGatesOverride(t *testing.T) {
	t.Parallel()
	const services = `
  db:  {BOXT, expose: ["7000"], command: [/tools/server]}
  job: {BOXH, command: [sh, -c, "read gate < /here/gate"]}
  api: {BOXT, command: [/tools/goclient, db, "7000"], depends_on: {job: {condition: service_completed_successfully}}, x-upall: {gates: {job: KIND}}}
`
	forRuntimes(t, func(t *testing.T, newGates func(string) *pod) {
		for kind, check := range map[string]func(r *run, g *gate){
			"none": func(r *run, g *gate) {
				r.allExit("api")
				g.open()
				r.allExit("job")
			},
			"connect": func(r *run, g *gate) {
				r.wait("the hold", holdBegan("api", "db"))
				g.open()
				r.allExit("job", "api")
			},
			"start": func(r *run, g *gate) {
				r.wait("the database", ofType(event.Ready))
				r.wait("the job", startedAs("job"))
				g.open()
				r.allExit("job", "api")
				r.before("the end of the job", "the start of api", exited("job"), startedAs("api"))
				if n := len(r.all(holdBegan("api", "db"))); n != 0 {
					r.t.Errorf("api was held %d times, want none: its start waited", n)
				}
			},
		} {
			t.Run(kind, func(_ *testing.T) {
				p := newGates(strings.ReplaceAll(services, "KIND", kind))
				gate := p.gate("gate")
				r := p.up()
				check(r, gate)
				r.interrupt()
			})
		}
	})
}

// ready: listen makes a healthcheck nobody's business.
func TestE2EGatesReadyListen(t *testing.T) {
	t.Parallel()
	forRuntimes(t, func(_ *testing.T, newGates func(string) *pod) {
		p := newGates(`
  db:  {BOXT, expose: ["7000"], command: [/tools/server], healthcheck: {test: [CMD, "false"], interval: 30s}, x-upall: {ready: listen}}
  api: {BOXT, command: [/tools/goclient, db, "7000"], depends_on: {db: {condition: service_healthy}}}
`)
		p.run("up", "-d", "--wait").want(0).says("the project is up")
	})
}

// A healthcheck that gives up: who has declared that it needs it is refused, with
// the reason, the others are let through, with a warning.
func TestE2EGatesUnhealthy(t *testing.T) {
	t.Parallel()
	forRuntimes(t, func(t *testing.T, newGates func(string) *pod) {
		p := newGates(`
  db:     {BOXT, expose: ["7000"], command: [/tools/server], healthcheck: {test: [CMD, "false"], interval: 500ms, retries: 3}}
  strict: {BOXT, command: [/tools/goclient, db, "7000"], depends_on: {db: {condition: service_healthy}}}
  maybe:  {BOXT, command: [/tools/goclient, db, "7000"], depends_on: {db: {condition: service_healthy, required: false}}}
  plain:  {BOXT, command: [/tools/goclient, db, "7000"]}
`)
		r := p.up()
		r.allExit("maybe", "plain")
		if ended := r.wait("the end of the hold", holdEnded("strict", "db")); ended.End != event.Refused || !strings.Contains(ended.Cause, "unhealthy") {
			t.Errorf("the hold was %s (%s), want refused because db is unhealthy", ended.End, ended.Cause)
		}
		r.waitExit("strict")
		r.wait("the refused connect", said("strict", "connection refused"))
		for _, service := range []string{"maybe", "plain"} {
			r.wait("the warning for "+service, func(e event.Event) bool {
				return e.Type == event.Warning && e.Service == service && strings.Contains(e.Message, "unhealthy")
			})
		}
		r.interrupt()
		if said := r.printed(); !strings.Contains(said, "strict-1 was refused by db:7000") {
			t.Errorf("upall does not say that strict was refused: %s", said)
		}
		p.run("up", "-d", "--wait").want(1).says("db-1 is unhealthy")
		p.run("down", "-t", "0").want(0) // what has failed the wait stays up
	})
}

// A healthcheck that takes longer than the hold timeout: who has declared it goes
// on waiting, who has not is let through with a warning.
func TestE2EGatesSlowHealth(t *testing.T) {
	t.Parallel()
	forRuntimes(t, func(t *testing.T, newGates func(string) *pod) {
		p := newGates(`
  db:     {BOX, expose: ["7000"], command: [/tools/server], healthcheck: {test: [CMD, test, -e, /here/healthy], interval: 1s, start_period: 600s, start_interval: 500ms}}
  strict: {BOXT, command: [/tools/goclient, db, "7000"], depends_on: {db: {condition: service_healthy}}}
  plain:  {BOXT, command: [/tools/goclient, db, "7000"]}
`)
		r := p.up("--hold-timeout", "20s")
		r.wait("the hold of strict", holdBegan("strict", "db"))
		r.allExit("plain")
		r.wait("the warning", func(e event.Event) bool { return e.Type == event.Warning && e.Service == "plain" })
		if ended := r.all(holdEnded("strict", "db")); len(ended) > 0 {
			t.Errorf("the hold of strict was %s (%s) before db is healthy", ended[0].End, ended[0].Cause)
		}
		p.write("healthy", "")
		r.allExit("strict")
		if ended := r.wait("the end of the hold", holdEnded("strict", "db")); ended.End != event.Released {
			t.Errorf("the hold of strict was %s (%s), want released", ended.End, ended.Cause)
		}
		r.interrupt()
	})
}
