package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"upall/internal/event"
	"upall/internal/testenv"
)

// A project in the background goes through all commands of a day.
func TestE2EEngineDay(t *testing.T) {
	t.Parallel()
	forEngines(t, func(t *testing.T, e testenv.Engine) {
		p := newPod(t, e, `
  server: {BOX2, command: [/tools/server], volumes: ["TOOLS:/tools:ro", "data:/data", /anonymous]}
  idle:   {BOX, command: [sleep, "1000"], init: true}
  tool:   {BOX, command: [sleep, "1000"], init: true, profiles: [tools]}
volumes: {data: {}}
`)
		p.run("up", "-d").want(0).says("the project is up")
		if got := p.running(); got != "idle-1 server-1" {
			t.Errorf("after up -d %s run", got)
		}
		p.run("logs", "--tail", "1", "--no-color", "server").want(0).says("server-1  | listening")

		p.run("stop", "server").want(0)
		if got := p.running(); got != "idle-1" {
			t.Errorf("after stop server %s run", got)
		}
		p.run("start", "server").want(0)
		p.run("restart", "-t", "0", "idle").want(0)
		p.run("kill", "server").want(0)
		p.eventually(func() error { return p.runs("idle-1") })
		p.run("start", "server").want(0)
		if got := p.running(); got != "idle-1 server-1" {
			t.Errorf("after kill and start %s run", got)
		}
		p.run("exec", "-T", "idle", "/tools/goclient", "server", "7000").want(0).says("ok ")

		p.run("stop", "-t", "0").want(0)
		if got := p.running(); got != "" {
			t.Errorf("after stop %s run", got)
		}
		p.run("start").want(0)
		if got := p.running(); got != "idle-1 server-1" {
			t.Errorf("after start %s run", got)
		}
		p.run("down", "-v", "-t", "0").want(0)
		if left := p.left(); len(left) > 0 {
			t.Errorf("left behind by down -v: %s", strings.Join(left, ", "))
		}
		p.run("--profile", "tools", "up", "-d", "tool").want(0)
		if got := p.running(); got != "tool-1" {
			t.Errorf("after up of a service in a profile %s run", got)
		}
	})
}

// running lists the instances that run, as ps tells them.
func (p *pod) running() string {
	p.t.Helper()
	var names []string
	for line := range strings.Lines(p.run("ps", "--format", "json").want(0).stdout) {
		var c struct{ Name, State string }
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			p.t.Fatalf("read %q: %v", line, err)
		}
		if c.State == "running" {
			names = append(names, strings.TrimPrefix(c.Name, p.name+"-"))
		}
	}
	return strings.Join(names, " ")
}

// runs wants some instances to run.
func (p *pod) runs(want string) error {
	p.t.Helper()
	if got := p.running(); got != want {
		return fmt.Errorf("%q run, want %q", got, want)
	}
	return nil
}

// up --wait comes back when all are ready, or says who is not.
func TestE2EEngineWait(t *testing.T) {
	t.Parallel()
	const services = `
  server: {BOX, command: [/tools/server, -delay, 500ms], expose: ["7000"], healthcheck: {test: "test -e /here/healthy", interval: 100ms, retries: 1000}}
  job:    {BOX, command: [/tools/goclient, server, "7000"]}
`
	forAnEngine(t, func(t *testing.T, e testenv.Engine) {
		t.Run("ready", func(t *testing.T) {
			t.Parallel()
			p := newPod(t, e, services)
			p.write("healthy", "")
			p.run("up", "--wait", "--wait-timeout", "60").want(0)
			if status := p.inspect("server-1", "{{.State.Health.Status}}"); status != "healthy" {
				t.Errorf("up --wait came back when the server was %s", status)
			}
			if status := p.inspect("job-1", "{{.State.Status}} {{.State.ExitCode}}"); status != "exited 0" {
				t.Errorf("up --wait came back when the job was %s", status)
			}
		})
		t.Run("not ready", func(t *testing.T) {
			t.Parallel()
			out := newPod(t, e, services).run("up", "--wait", "--wait-timeout", "15").want(1)
			if problem := oneLine(ownLines(out.stderr), "", []string{"not ready after 15 s", "server-1 is not healthy yet"}); problem != "" {
				t.Error(problem)
			}
		})
		t.Run("failed", func(t *testing.T) {
			t.Parallel()
			// The server never gets healthy: a slow engine may tell of the job's end late.
			p := newPod(t, e, `
  server: {BOX, command: [/tools/server], healthcheck: {test: "false", interval: 100ms, retries: 100000}}
  job:    {BOX, command: [sh, -c, "exit 3"]}
`)
			out := p.run("up", "--wait").want(1)
			if problem := oneLine(ownLines(out.stderr), "", []string{"job-1 exited with code 3"}); problem != "" {
				t.Error(problem)
			}
		})
	})
}

// Ctrl-C stops the containers and keeps them, and ends each up of the project.
// kill -9 of upall up leaves the project as it is; of the supervisor and its keeper
// it leaves containers running, and the next up takes care of them.
func TestE2EEngineEnds(t *testing.T) {
	t.Parallel()
	const services = `
  server: {BOX, command: [/tools/server]}
  client: {BOX, command: [/tools/goclient, server, "7000"]}
  waiter: {BOX, command: [/tools/goclient, late, "7000"]}
  late:   {BOX, command: [/tools/server, -gate, /here/gate]}
`
	forAnEngine(t, func(t *testing.T, e testenv.Engine) {
		t.Run("interrupt", func(t *testing.T) {
			t.Parallel()
			p := newPod(t, e, services)
			p.gate("gate")
			r := p.up()
			r.wait("a hold", holdBegan("waiter", "late"))
			r.allExit("client")
			r.wait("that all has been started", projectIs(event.StateUp))
			other := p.up()
			other.wait("that all has been started", projectIs(event.StateUp))
			for _, service := range []string{"server", "waiter", "late"} {
				if started := other.all(startedAs(service)); len(started) > 0 {
					t.Errorf("%s ran, and was started again by another up", service)
				}
			}
			if code := r.interrupt(); code != 130 {
				t.Errorf("upall ended with code %d, want 130", code)
			}
			if code := other.end(); code != 0 {
				t.Errorf("the other upall ended with code %d, want 0", code)
			}
			if got := p.running(); got != "" {
				t.Errorf("%s run after Ctrl-C", got)
			}
			if got := len(strings.Fields(p.run("ps", "-aq").want(0).stdout)); got != 4 {
				t.Errorf("%d containers are there after Ctrl-C, want all 4", got)
			}
		})
		t.Run("kill", func(t *testing.T) {
			t.Parallel()
			p := newPod(t, e, services)
			gate := p.gate("gate")
			r := p.up()
			r.wait("a hold", holdBegan("waiter", "late"))
			r.allExit("client")
			r.kill()
			server := p.inspect("server-1", "{{.State.StartedAt}}")
			again := p.up()
			gate.open()
			again.allExit("client", "waiter")
			if now := p.inspect("server-1", "{{.State.StartedAt}}"); now != server {
				t.Errorf("the server was started at %s, and again at %s", server, now)
			}
			again.interrupt()
		})
		t.Run("kill the supervisor too", func(t *testing.T) {
			t.Parallel()
			p := newPod(t, e, services)
			gate := p.gate("gate")
			r := p.up()
			r.wait("a hold", holdBegan("waiter", "late"))
			r.allExit("client")
			p.killSupervisor()
			if code := r.end(); code != 1 {
				t.Errorf("upall ended with code %d without its supervisor, want 1", code)
			}
			again := p.up()
			gate.open()
			again.allExit("client", "waiter")
			again.interrupt()
		})
	})
}

// Flags of up that say how containers are made.
func TestE2EEngineUpFlags(t *testing.T) {
	t.Parallel()
	forAnEngine(t, func(t *testing.T, e testenv.Engine) {
		t.Run("build", func(t *testing.T) {
			t.Parallel()
			p := newPod(t, e, `
  web:    {build: ., command: [cat, /built]}
  server: {BOX, command: [/tools/server]}
`)
			image := p.name + "-web"
			t.Cleanup(func() { _ = afterTest(p.dockerCommand("rmi", "-f", image)).Run() })
			for _, text := range []string{"one", "two"} {
				p.write("Dockerfile", "FROM upall-test/busybox:1\nRUN echo built "+text+" > /built\n")
				r := p.up("--build")
				r.wait("what was built", said("web", "built "+text))
				r.interrupt()
			}
		})
		t.Run("scale", func(t *testing.T) {
			t.Parallel()
			p := newPod(t, e, `
  server: {BOX, command: [/tools/server]}
  client: {BOX, command: [sh, -c, "for i in 1 2 3; do /tools/goclient NAME-server-$$i 7000 || exit 1; done"]}
`)
			r := p.up("--scale", "server=3")
			r.allExit("client")
			if got := p.running(); got != "server-1 server-2 server-3" {
				t.Errorf("%s run", got)
			}
			r.interrupt()
			p.run("up", "-d", "server").want(0)
			if got := len(strings.Fields(p.run("ps", "-aq", "server").want(0).stdout)); got != 1 {
				t.Errorf("%d containers of the server are there without --scale, want 1", got)
			}
			p.run("down", "-t", "0").want(0)
		})
		t.Run("no start, orphans, volumes", func(t *testing.T) {
			t.Parallel()
			p := newPod(t, e, `
  web:   {BOX2, command: [sh, -c, "cat /data/*; touch /data/file && exec sleep 1000"], volumes: [/data], init: true}
  other: {BOX, command: [sleep, "1000"], init: true}
`)
			p.run("up", "--no-start").want(0)
			if status := p.inspect("web-1", "{{.State.Status}}"); status != "created" {
				t.Errorf("the container is %s after up --no-start", status)
			}
			for _, test := range []struct {
				args []string
				keep bool
			}{{nil, true}, {[]string{"--force-recreate"}, true}, {[]string{"-V"}, false}} {
				before := p.volume("web-1")
				p.run(append([]string{"up", "-d"}, test.args...)...).want(0)
				if kept := p.volume("web-1") == before; kept != test.keep {
					t.Errorf("up %v: the anonymous volume is kept: %t, want %t", test.args, kept, test.keep)
				}
				p.run("stop", "-t", "0").want(0)
			}
			p.write("compose.yaml", p.expandBox("services:\n  web: {BOX, command: [sleep, \"1000\"], init: true}\n"))
			p.run("up", "-d", "--remove-orphans").want(0)
			if out := p.docker("ps", "-aq", "--filter", "name=^"+p.name+"-other-1$"); out != "" {
				t.Errorf("the orphan is there after --remove-orphans: %s", out)
			}
		})
	})
}

// volume is the first volume of an instance.
func (p *pod) volume(instance string) string {
	p.t.Helper()
	return p.inspect(instance, `{{range .Mounts}}{{if eq .Type "volume"}}{{.Name}}{{end}}{{end}}`)
}

// A process and a container reach each other by name, and both are held.
func TestE2EEngineMixed(t *testing.T) {
	t.Parallel()
	forEngines(t, func(t *testing.T, e testenv.Engine) {
		p := newPod(t, e, `
  container-server: {BOX, command: [/tools/server, -gate, /here/gate]}
  process-client:   {command: [TOOLS/goclient, container-server, "7000"]}
  process-server:   {command: [TOOLS/server, -gate, HERE/gate]}
  container-client: {BOX, command: [/tools/goclient, process-server, "7000"]}
`)
		gate := p.gate("gate")
		r := p.up()
		r.wait("the hold of the process", holdBegan("process-client", "container-server"))
		r.wait("the hold of the container", holdBegan("container-client", "process-server"))
		gate.open()
		r.allExit("process-client", "container-client")
		r.interrupt()
		p.run("down").want(0)
	})
}

// After a run no rule of upall is left in the host's network namespace, whose
// services connect to published ports too. This test runs beside no other.
func TestE2EEngineLeavesNoRules(t *testing.T) {
	nft := testenv.NeedProgram(t, "nft")
	tables := func() string {
		out, err := root(t).Command(t, nft, "list", "tables").Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	before := tables()
	for _, e := range testenv.NeedEngines(t) {
		t.Run(e.Version, func(t *testing.T) {
			p := newPod(t, e, `
  server: {BOX, command: [/tools/server, -gate, /here/gate], ports: ["127.0.0.1::7000"]}
  client: {BOX, network_mode: host, command: [/tools/goclient, server, "7000"]}
`)
			gate := p.gate("gate")
			r := p.up()
			r.wait("the hold", holdBegan("client", "server"))
			gate.open()
			r.allExit("client")
			r.interrupt()
			p.run("down", "-t", "0").want(0)
		})
	}
	testenv.Eventually(t, patience, func() error {
		if now := tables(); now != before {
			return errors.New("tables of netfilter: " + now)
		}
		return nil
	})
}
