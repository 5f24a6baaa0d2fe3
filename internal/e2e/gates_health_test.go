package e2e

import (
	"fmt"
	"strings"
	"testing"

	"upall/internal/event"
	"upall/internal/testenv"
)

// healthOf returns what the snapshot says of the health of a service.
func (p *pod) healthOf(service string) (health string, outputs []string) {
	p.t.Helper()
	for _, i := range p.view().Instances {
		if i.Service != service {
			continue
		}
		for _, probe := range i.HealthLog {
			outputs = append(outputs, fmt.Sprintf("%d %s", probe.Code, strings.TrimSpace(probe.Output)))
		}
		return i.Health, outputs
	}
	p.t.Fatalf("the snapshot has no %s", service)
	return "", nil
}

// The snapshot has what the healthcheck has said.
func TestE2EGatesHealthLog(t *testing.T) {
	t.Parallel()
	forRuntimes(t, func(t *testing.T, newGates func(string) *pod) {
		p := newGates(`
  server: {BOX, command: [/tools/server], healthcheck: {test: [CMD-SHELL, "test -e /here/healthy || { echo not yet; exit 5; }; echo fine"], interval: 10m}}
  client: {BOX, command: [/tools/goclient, server, "7000"]}
`)
		r := p.up()
		r.wait("the hold", holdBegan("client", "server"))
		p.eventually(func() error {
			health, outputs := p.healthOf("server")
			if health != "starting" || len(outputs) == 0 || outputs[len(outputs)-1] != "5 not yet" {
				return fmt.Errorf("the server is %q after %q", health, outputs)
			}
			return nil
		})
		p.write("healthy", "")
		r.allExit("client")
		health, outputs := p.healthOf("server")
		if health != "healthy" || outputs[len(outputs)-1] != "0 fine" || len(outputs) > 5 {
			t.Errorf("the server is %q after %q", health, outputs)
		}
		r.interrupt()
	})
}

// A healthcheck that is switched off is not waited for.
func TestE2EGatesNoHealth(t *testing.T) {
	t.Parallel()
	forRuntimes(t, func(t *testing.T, newGates func(string) *pod) {
		p := newGates(`
  disabled: {BOXT, expose: ["7000"], command: [/tools/server], healthcheck: {disable: true}}
  none:     {BOXT, expose: ["7000"], command: [/tools/server], healthcheck: {test: [NONE]}}
  client:   {BOXT, command: [sh, -c, "/tools/goclient disabled 7000 && /tools/goclient none 7000"], depends_on: {disabled: {condition: service_healthy}}}
`)
		p.run("up", "-d", "--wait").want(0)
		for _, service := range []string{"disabled", "none"} {
			if health, outputs := p.healthOf(service); health != "" || outputs != nil {
				t.Errorf("%s is %q after %q, want no healthcheck", service, health, outputs)
			}
		}
	})
}

// The healthcheck of an image is waited for as that of a file, unless the file
// switches it off.
func TestE2EGatesImageHealth(t *testing.T) {
	t.Parallel()
	forAnEngine(t, func(t *testing.T, e testenv.Engine) {
		p := newPod(t, e, `
  server: {image: "NAME-image", stop_grace_period: 1s, volumes: ["TOOLS:/tools:ro", "HERE:/here"], command: [/tools/server]}
  off:    {image: "NAME-image", stop_grace_period: 1s, volumes: ["TOOLS:/tools:ro"], command: [/tools/server], healthcheck: {disable: true}}
  client: {BOX, command: [/tools/goclient, server, "7000"]}
  other:  {BOX, command: [/tools/goclient, "off", "7000"]}
`)
		build := p.dockerCommand("build", "--quiet", "--tag", p.name+"-image", "-")
		build.Stdin = strings.NewReader("FROM upall-test/busybox:1\nHEALTHCHECK --interval=10m CMD test -e /here/healthy\n")
		p.finish(build).want(0)
		t.Cleanup(func() {
			if out, err := afterTest(p.dockerCommand("rmi", "--force", p.name+"-image")).CombinedOutput(); err != nil {
				t.Errorf("remove the image: %v: %s", err, out)
			}
		})
		r := p.up()
		r.wait("the hold", holdBegan("client", "server"))
		r.allExit("other")
		if ended := r.all(holdEnded("client", "server")); len(ended) > 0 {
			t.Errorf("the hold was %s (%s) before the server is healthy", ended[0].End, ended[0].Cause)
		}
		p.write("healthy", "")
		r.wait("the good health", func(e event.Event) bool { return e.Type == event.Healthy && e.Service == "server" })
		r.allExit("client")
		r.interrupt()
	})
}
