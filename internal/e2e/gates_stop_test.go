package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// stopping is a shell program: it runs COMMAND, and at the stop signal says when
// that came, lets half a second pass, and says when it ends. Times are those of
// the machine's uptime.
const stopping = `
now() { read up rest < /proc/uptime; echo $$1=$$up; }
trap 'now term; sleep 0.5; now end; exit 0' TERM
COMMAND
wait; wait`

// stoppable is a service that stops in that way.
func stoppable(name, command string) string {
	return fmt.Sprintf("  %s: {BOXP, expose: [\"7000\"], stop_grace_period: 5s, command: [sh, -c, %q]}\n",
		name, strings.ReplaceAll(stopping, "COMMAND", command))
}

// moments are when a service got the stop signal, and when it ended.
func (r *run) moments(service string) (term, end float64) {
	r.t.Helper()
	said := strings.Join(strings.Fields(r.output(service)), " ")
	_, rest, _ := strings.Cut(said, "term=")
	if _, err := fmt.Sscanf("term="+rest, "term=%f end=%f", &term, &end); err != nil {
		r.t.Errorf("%s said %q, want when it was stopped and ended: %v", service, said, err)
	}
	return term, end
}

// stops are the ways in which a project that runs in the foreground is stopped.
var stops = map[string]func(p *pod, r *run){
	"stop":      func(p *pod, _ *run) { p.run("stop").want(0) },
	"down":      func(p *pod, _ *run) { p.run("down").want(0) },
	"interrupt": func(_ *pod, r *run) { r.interrupt() },
}

// Clients end before their servers, by the connects that were seen alone, and
// services that do not connect to each other end at the same time.
func TestE2EGatesStop(t *testing.T) {
	t.Parallel()
	forRuntimes(t, func(t *testing.T, newGates func(string) *pod) {
		for name, stop := range stops {
			t.Run(name, func(t *testing.T) {
				p := newGates(stoppable("db", "/tools/server &") +
					stoppable("api", "/tools/goclient db 7000 && /tools/server &") +
					stoppable("web", "/tools/goclient api 7000 && /tools/server &") +
					stoppable("worker", "/tools/goclient db 7000 && /tools/server &"))
				r := p.up()
				for _, service := range []string{"db", "api", "web", "worker"} {
					r.wait(service, said(service, "listening"))
				}
				stop(p, r)
				r.end()
				dbTerm, _ := r.moments("db")
				apiTerm, apiEnd := r.moments("api")
				webTerm, webEnd := r.moments("web")
				workerTerm, workerEnd := r.moments("worker")
				if apiTerm < webEnd || dbTerm < apiEnd || dbTerm < workerEnd {
					t.Errorf("a server was stopped before its client had ended: web %v..%v, api %v..%v, worker %v..%v, db %v",
						webTerm, webEnd, apiTerm, apiEnd, workerTerm, workerEnd, dbTerm)
				}
				if workerTerm >= webEnd {
					t.Errorf("worker was stopped at %v, want while web ends, which was at %v", workerTerm, webEnd)
				}
			})
		}
	})
}

// A client that does not end by the signal delays its server by its own grace
// period, and no more.
func TestE2EGatesStopDeaf(t *testing.T) {
	t.Parallel()
	forRuntimes(t, func(t *testing.T, newGates func(string) *pod) {
		p := newGates(stoppable("db", "/tools/server &") +
			"  api: {BOXT, command: [sh, -c, \"trap '' TERM; /tools/goclient db 7000; while :; do sleep 0.1; done\"]}\n")
		r := p.up()
		r.wait("the connect", said("api", "ok"))
		began := time.Now()
		r.interrupt()
		took := time.Since(began)
		r.before("the end of api", "the end of db", exited("api"), exited("db"))
		r.moments("db")
		// A second for api, half a one for db, and the rest for a busy machine: far
		// from the 10 s that a container has without a grace period.
		if took < time.Second || took > 9*time.Second {
			t.Errorf("the stop took %v, want some 2 s", took)
		}
	})
}
