package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// chainLength is how many services wait for each other in a chain.
const chainLength = 5

// chainOf is a chain of services. Each connects to the one before, then listens,
// and is healthy when it answers.
func chainOf(declared bool) string {
	var b strings.Builder
	for n := range chainLength {
		command, needs := `[/tools/server]`, ""
		if n > 0 {
			command = fmt.Sprintf(`[sh, -c, "/tools/goclient s%d 7000 && exec /tools/server"]`, n-1)
			if declared {
				needs = fmt.Sprintf(", depends_on: {s%d: {condition: service_healthy}}", n-1)
			}
		}
		fmt.Fprintf(&b, `
  s%d: {BOXT, expose: ["7000"], command: %s, healthcheck: {test: [CMD, /tools/goclient, localhost, "7000"], interval: 10m}%s}`, n, command, needs)
	}
	return b.String() + "\n"
}

// A chain of services that each wait for the health of another is up, declared or
// not, before one interval of their healthchecks is over, for which Compose would wait
// once a service.
func TestE2EGatesChain(t *testing.T) {
	t.Parallel()
	for name, declared := range map[string]bool{"declared": true, "undeclared": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			forRuntimes(t, func(t *testing.T, newGates func(string) *pod) { chainComesUp(t, newGates(chainOf(declared))) })
			t.Run("user", func(t *testing.T) {
				t.Parallel()
				p := processPod(t, ordinary(t), chainOf(declared))
				p.run("up", "-d", "--wait").want(0).says("the project is up")
			})
		})
	}
}

func chainComesUp(t *testing.T, p *pod) {
	began := time.Now()
	p.run("up", "-d", "--wait").want(0).says("the project is up") // in less than an interval, or run gives up
	t.Logf("the chain took %v", time.Since(began))
	for _, i := range p.view().Instances {
		if !i.Ready || i.Health != "healthy" || i.Restarts != 0 {
			t.Errorf("%s is %s, %s, with %d restarts; want ready and healthy at the first try", i.Instance, i.State, i.Health, i.Restarts)
		}
	}
}

// What is healthy is not asked more often than its file says.
func TestE2EGatesSettled(t *testing.T) {
	t.Parallel()
	const window = 3 // seconds
	forRuntimes(t, func(t *testing.T, newGates func(string) *pod) {
		p := newGates(`
  server: {BOXT, expose: ["7000"], command: [/tools/server], healthcheck: {test: [CMD, /tools/goclient, localhost, "7000"], interval: 10m}}
`)
		p.run("up", "-d", "--wait").want(0)
		before := p.probes("server")
		if before == 0 {
			t.Error("the snapshot has no result of a healthcheck")
		}
		p.settled("server", window)
		if after := p.probes("server"); after != before {
			t.Errorf("a settled service was asked %d times in %d s, want not at all", after-before, window)
		}
	})
}

// settled lets seconds pass, in which the engine must not run anything more in a
// service's container.
func (p *pod) settled(service string, seconds int64) {
	p.t.Helper()
	if p.isProcesses() {
		<-time.After(time.Duration(seconds) * time.Second)
		return
	}
	now := time.Now().Unix() + 1
	said := p.docker("events", "--since", fmt.Sprint(now), "--until", fmt.Sprint(now+seconds),
		"--filter", "event=exec_create", "--filter", "container="+p.name+"-"+service+"-1")
	if said != "" {
		p.t.Errorf("a settled container was asked again: %s", said)
	}
}

// probes counts the results of a service's healthcheck.
func (p *pod) probes(service string) (n int) {
	p.t.Helper()
	for _, i := range p.view().Instances {
		if i.Service == service {
			n += len(i.HealthLog)
		}
	}
	return n
}
