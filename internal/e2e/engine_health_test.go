package e2e

import (
	"errors"
	"fmt"
	"testing"

	"upall/internal/event"
	"upall/internal/testenv"
)

// A healthcheck runs as without upall, also one that connects to the service.
func TestE2EEngineHealth(t *testing.T) {
	t.Parallel()
	checks := map[string]string{
		"CMD-SHELL": `[CMD-SHELL, "test -e /here/healthy"]`,
		"CMD":       `[CMD, test, -e, /here/healthy]`,
		"connect":   `[CMD-SHELL, "test -e /here/healthy && /tools/goclient localhost 7000 && /tools/goclient server 7000"]`,
	}
	forAnEngine(t, func(t *testing.T, e testenv.Engine) {
		for name, check := range checks {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				p := newPod(t, e, `
  server: {BOX, command: [/tools/server], healthcheck: {test: `+check+`, interval: 200ms, timeout: 5s, retries: 100}}
  client: {BOX, command: [/tools/goclient, server, "7000"]}
`)
				r := p.up()
				r.wait("the listener", ofType(event.Listening))
				if status := p.inspect("server-1", "{{.State.Health.Status}}"); status != "starting" {
					t.Errorf("the engine says %q before the healthcheck can pass, want starting", status)
				}
				p.write("healthy", "")
				r.wait("the good health", ofType(event.Healthy))
				r.allExit("client")
				// The engine asks at its own pace, and says the same then.
				p.eventually(func() error {
					if status := p.inspect("server-1", "{{.State.Health.Status}}"); status != "healthy" {
						return fmt.Errorf("the engine says %q, want healthy", status)
					}
					return nil
				})
			})
		}
	})
}

// docker exec and upall exec run programs in a container; their connects are
// held too where the engine hands them over.
func TestE2EEngineExec(t *testing.T) {
	t.Parallel()
	forAnEngine(t, func(t *testing.T, e testenv.Engine) {
		p := newPod(t, e, `
  server: {BOX, command: [/tools/server]}
  idle:   {BOX, command: [sleep, "1000"], init: true}
`)
		p.run("up", "-d", "--wait").want(0)
		idle := p.name + "-idle-1"
		if said := p.docker("exec", idle, "sh", "-c", "/tools/goclient server 7000; id -u"); said[:2] != "ok" {
			t.Errorf("docker exec said %q, want ok", said)
		}
		if said := p.docker("exec", "--user", "1234", idle, "id", "-u"); said != "1234" {
			t.Errorf("docker exec as another user said %q", said)
		}
		p.run("exec", "-T", "idle", "sh", "-c", "/tools/goclient server 7000 && exit 7").want(7).says("ok ")
		p.eventually(func() error {
			if status := p.inspect("idle-1", "{{.State.Status}}"); status != "running" {
				return errors.New(status)
			}
			return nil
		})
	})
}
