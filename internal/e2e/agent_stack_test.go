package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"upall/internal/testenv"
)

// TestE2EAgent: somebody who is not root, and whom the engine obeys, does all that
// root does, without more rights than that.
func TestE2EAgent(t *testing.T) {
	t.Parallel()
	forEngines(t, func(t *testing.T, e testenv.Engine) {
		p := agentStack(t, e)
		p.run("up", "-d").want(0).says("the project is up")
		p.hasAgent()
		p.held("api", "postgres:5432")
		follower := p.follows()
		p.are("ready", "postgres", "redis", "api", "worker", "nginx")
		p.are("exited", "check")

		p.run("ps").want(0).says("api-1", "postgres-1", "ready", "8080")
		p.run("logs", "--no-color", "check").want(0).says("check-1", "hello from postgres, counted ")
		p.observesSoon(`
api postgres:5432/tcp 1
api redis:6379/tcp 1
check nginx:80/tcp 1
nginx api:8080/tcp 1
worker api:8080/tcp 1
worker redis:6379/tcp 1
`)
		p.run("graph").want(0).says("postgres:5432", "redis:6379")
		p.usesMemory("api-1", "postgres-1")
		before := p.inspect("api-1", "{{.State.StartedAt}}")
		p.run("restart", "-t", "1", "api").want(0)
		p.are("ready", "api")
		if after := p.inspect("api-1", "{{.State.StartedAt}}"); after == before {
			t.Error("restart has not restarted api")
		}
		p.down("data")
		follower.ends("api-1 listens on port 8080", "the project is over")
	})
}

// agentStack is examples/stack with the images of the tests.
func agentStack(t *testing.T, e testenv.Engine) *agentPod {
	t.Helper()
	images := []string{"postgres", "redis", "node", "python", "nginx"}
	testenv.NeedImages(t, e, images...)
	p := agentPodIn(exampleProject(t, dockerUser(t), "stack"), e)
	for _, name := range images {
		p.env = append(p.env, strings.ToUpper(name)+"_IMAGE=upall-test/"+name+":1")
	}
	return p
}

// hasAgent wants one, of the image that has the digest of this upall, and no process
// of upall's that runs as the user.
func (p *agentPod) hasAgent() {
	p.t.Helper()
	out, err := exec.Command("sha256sum", filepath.Join(tools, "upall")).Output()
	if err != nil {
		p.t.Fatal(err)
	}
	want := "upall-agent:" + string(out[:16])
	if got := p.docker("inspect", "--format", "{{.Config.Image}}", p.agent()); got != want {
		p.t.Errorf("the agent's image is %q, want %q", got, want)
	}
	left, err := p.processes()
	if err != nil {
		p.t.Fatal(err)
	}
	for pid, command := range left {
		if strings.Contains(command, "supervise") {
			p.t.Errorf("beside the agent there is process %d %s", pid, command)
		}
	}
}

// held waits until a client's connect is held, as ps says, or has gone on: on a busy
// machine a database may be up before its client is.
func (p *agentPod) held(client, target string) {
	p.t.Helper()
	p.eventually(func() error {
		out := p.run("ps").want(0).stdout
		for line := range strings.Lines(out) {
			if strings.HasPrefix(line, client+"-1 ") && (strings.Contains(line, target) || strings.Contains(line, "ready")) {
				return nil
			}
		}
		return fmt.Errorf("%s neither waits for %s nor is ready:\n%s", client, target, out)
	})
}

// observesSoon waits for edges: what is seen last may be on its way.
func (p *agentPod) observesSoon(want string) {
	p.t.Helper()
	edges := slices.Sorted(strings.Lines(strings.TrimLeft(want, "\n")))
	p.eventually(func() error {
		if got := p.observed(); strings.Join(got, "\n")+"\n" != strings.Join(edges, "") {
			return fmt.Errorf("edges:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(edges, ""))
		}
		return nil
	})
}

// usesMemory wants numbers of instances: the agent can read their control groups.
func (p *agentPod) usesMemory(instances ...string) {
	p.t.Helper()
	var all sample
	text := p.run("stats", "--no-stream", "--format", "json").want(0).stdout
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		p.t.Fatalf("upall stats: %v\n%s", err, text)
	}
	for _, i := range all.Instances {
		if at := slices.Index(instances, i.Instance); at >= 0 && i.Memory > 0 && i.PIDs > 0 {
			instances = slices.Delete(instances, at, at+1)
		}
	}
	if len(instances) > 0 {
		p.t.Errorf("%q use nothing in %s", instances, text)
	}
	if len(all.Edges) == 0 {
		p.t.Errorf("there are no edges in %s", text)
	}
}

// follower is a `upall dash --plain`.
type follower struct {
	p       *agentPod
	command *exec.Cmd
	out     string // path of a file
	done    chan error
}

// follows starts one. It ends with the project.
func (p *agentPod) follows() *follower {
	p.t.Helper()
	return p.starts("dash", "--plain")
}

// starts starts a command that prints into a file.
func (p *agentPod) starts(args ...string) *follower {
	p.t.Helper()
	file, err := os.CreateTemp(p.folder, "out-")
	if err != nil {
		p.t.Fatal(err)
	}
	f := &follower{p, p.command(args...), file.Name(), make(chan error, 1)}
	f.command.Stdout, f.command.Stderr = file, file
	if err := errors.Join(f.command.Start(), file.Close()); err != nil {
		p.t.Fatalf("start %q: %v", args, err)
	}
	ended := make(chan struct{})
	go func() {
		f.done <- f.command.Wait()
		close(ended)
	}()
	p.t.Cleanup(func() { <-ended }) // the test's end interrupts it
	return f
}

// ends waits for its end by itself, and wants texts in what it has printed.
func (f *follower) ends(texts ...string) {
	f.p.t.Helper()
	select {
	case err := <-f.done:
		if err != nil {
			f.p.t.Errorf("%q: %v", f.command.Args, err)
		}
	case <-time.After(patience):
		f.p.t.Errorf("%q did not end within %v", f.command.Args, patience)
	}
	said := f.text()
	for _, text := range texts {
		if !strings.Contains(said, text) {
			f.p.t.Errorf("%q: said %q, want %q in it", f.command.Args, said, text)
		}
	}
}

// text is what it has printed so far.
func (f *follower) text() string {
	f.p.t.Helper()
	text, err := os.ReadFile(f.out)
	if err != nil {
		f.p.t.Fatal(err)
	}
	return string(bytes.TrimSpace(text))
}
