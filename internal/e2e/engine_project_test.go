package e2e

import (
	"bytes"
	"context"
	"fmt"
	"hash/crc32"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"upall/internal/testenv"
)

// pod is a compose project whose services run in containers. When the test
// ends it is taken down, and nothing of it may be left.
type pod struct {
	*project
	engine testenv.Engine
}

// box stands for BOX in compose files: an image that has a shell, with the
// test programs in /tools and the project's folder in /here.
//
// BOX2 stands for the image alone.
const box = `image: "upall-test/busybox:1", stop_grace_period: 1s, volumes: ["TOOLS:/tools:ro", "HERE:/here"]`

const boxImage = `image: "upall-test/busybox:1", stop_grace_period: 1s`

// forEngines runs a test on each engine that is there for tests.
func forEngines(t *testing.T, test func(t *testing.T, e testenv.Engine)) {
	t.Helper()
	onEngines(t, testenv.NeedEngines(t), test)
}

// forAnEngine runs a test of what does not depend on the engine on one of them: which
// one, the test's name says, so that each has its share.
func forAnEngine(t *testing.T, test func(t *testing.T, e testenv.Engine)) {
	t.Helper()
	engines := testenv.NeedEngines(t)
	n := int(crc32.ChecksumIEEE([]byte(t.Name()))) % len(engines)
	onEngines(t, engines[n:n+1], test)
}

func onEngines(t *testing.T, engines []testenv.Engine, test func(t *testing.T, e testenv.Engine)) {
	t.Helper()
	testenv.NeedRoot(t)
	testenv.NeedNFQueue(t)
	for _, e := range engines {
		t.Run(e.Version, func(t *testing.T) {
			t.Parallel()
			testenv.NeedImages(t, e, "busybox")
			test(t, e)
		})
	}
}

// newPod writes a compose file with services.
func newPod(t *testing.T, e testenv.Engine, services string) *pod {
	t.Helper()
	return newPodOf(t, e, "services:\n"+services)
}

// newPodOf writes a whole compose file.
func newPodOf(t *testing.T, e testenv.Engine, file string) *pod {
	t.Helper()
	p := podIn(emptyProject(t, root(t)), e)
	p.write("compose.yaml", p.expandBox(file))
	return p
}

// expandBox: besides BOX, NAME stands for the project's name, and SUBNET for
// 10.235.N, of a subnet that no other test has.
func (p *pod) expandBox(file string) string {
	return p.expand(strings.NewReplacer("BOX2", boxImage, "BOX", box, "NAME", p.name, "SUBNET", newSubnet()).Replace(file))
}

var subnetNumber atomic.Int64

// newSubnet returns the first three bytes of a /24. The engines of a machine
// share its routes.
func newSubnet() string {
	return fmt.Sprintf("10.235.%d", (os.Getpid()+int(subnetNumber.Add(1)))%256)
}

// podIn lets a project run on an engine.
func podIn(p *project, e testenv.Engine) *pod {
	p.t.Helper()
	testenv.NeedProgram(p.t, "docker")
	p.env = append(p.env, "DOCKER_HOST="+e.Host)
	c := &pod{project: p, engine: e}
	p.t.Cleanup(c.takeDown)
	return c
}

// takeDown removes the project and looks for what is left.
func (p *pod) takeDown() {
	p.t.Helper()
	// Compose complains about a file that it cannot read.
	if err := os.Remove(filepath.Join(p.folder, "compose.yaml")); err != nil {
		p.t.Error(err)
	}
	down := afterTest(p.command("down", "-v", "-t", "0", "--remove-orphans"))
	if out, err := down.CombinedOutput(); err != nil {
		p.t.Errorf("take the project down: %v\n%s", err, out)
	}
	if left := p.left(); len(left) > 0 {
		p.t.Errorf("left behind: %s", strings.Join(left, ", "))
	}
}

// afterTest is the command without the test's context, which is over when a test
// cleans up.
func afterTest(c *exec.Cmd) *exec.Cmd {
	again := exec.CommandContext(context.Background(), c.Path, c.Args[1:]...)
	again.Dir, again.Env, again.SysProcAttr = c.Dir, c.Env, c.SysProcAttr
	return again
}

// left lists what there is of the project.
func (p *pod) left() []string {
	p.t.Helper()
	filter := "label=com.docker.compose.project=" + p.name
	var left []string
	for what, args := range map[string][]string{
		"container": {"ps", "--all", "--filter", filter, "--format", "{{.Names}}"},
		"network":   {"network", "ls", "--filter", filter, "--format", "{{.Name}}"},
		"volume":    {"volume", "ls", "--filter", filter, "--format", "{{.Name}}"},
	} {
		out, err := afterTest(p.dockerCommand(args...)).Output()
		if err != nil {
			p.t.Errorf("docker %v: %v", args, err)
		}
		for name := range strings.FieldsSeq(string(out)) {
			left = append(left, what+" "+name)
		}
	}
	if state := filepath.Join("/run/upall", p.name); exists(state) {
		left = append(left, state)
	}
	return left
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// outcome is how a command ended and what it printed.
type outcome struct {
	t      *testing.T
	line   string
	code   int
	stdout string
	stderr string
}

// run runs a command of upall to its end.
func (p *pod) run(args ...string) outcome {
	p.t.Helper()
	return p.finish(p.command(args...))
}

// docker runs a command of the Docker client that must succeed, and returns what
// it printed.
func (p *pod) docker(args ...string) string {
	p.t.Helper()
	return strings.TrimSpace(p.finish(p.dockerCommand(args...)).want(0).stdout)
}

func (p *pod) dockerCommand(args ...string) *exec.Cmd {
	p.t.Helper()
	command := p.user.Command(p.t, "docker", args...)
	command.Env = append(command.Env, "DOCKER_HOST="+p.engine.Host)
	return command
}

func (p *pod) finish(command *exec.Cmd) outcome {
	p.t.Helper()
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Start(); err != nil {
		p.t.Fatalf("run %q: %v", command.Args, err)
	}
	limit := time.AfterFunc(patience, func() {
		p.t.Errorf("%q did not end within %v", command.Args, patience)
		_ = command.Process.Kill() // it fails when the process has just ended
	})
	_ = command.Wait() // how it ended is read from ProcessState
	limit.Stop()
	return outcome{
		t: p.t, line: strings.Join(command.Args, " "),
		code: command.ProcessState.ExitCode(), stdout: stdout.String(), stderr: stderr.String(),
	}
}

// want fails the test if the command ended with another exit code.
func (o outcome) want(code int) outcome {
	o.t.Helper()
	if o.code != code {
		o.t.Fatalf("%s: exit code %d, want %d\n%s%s", o.line, o.code, code, o.stdout, o.stderr)
	}
	return o
}

// says fails the test if a word is missing in what the command printed.
func (o outcome) says(words ...string) outcome {
	o.t.Helper()
	for _, word := range words {
		if !strings.Contains(o.stdout+o.stderr, word) {
			o.t.Errorf("%s: said %q, want %q in it", o.line, o.stdout+o.stderr, word)
		}
	}
	return o
}

// inspect returns a property of an instance's container.
func (p *pod) inspect(instance, format string) string {
	p.t.Helper()
	return p.docker("inspect", "--format", format, p.name+"-"+instance)
}

// serverAddress is where the instance of the service server is.
func (p *pod) serverAddress() string {
	p.t.Helper()
	return p.inspect("server-1", "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}")
}

// eventually waits for a fact of the engine, which takes a command to see.
func (p *pod) eventually(fact func() error) {
	p.t.Helper()
	testenv.Eventually(p.t, patience, fact)
}

// allExit wants services to end with 0.
func (r *run) allExit(services ...string) {
	r.t.Helper()
	for _, name := range services {
		if code := r.waitExit(name); code != 0 {
			r.t.Errorf("%s ended with code %d, want 0: %s", name, code, r.output(name))
		}
	}
}

// composeBuilt is Docker Compose, built at its first use, for the control of
// what upall changes.
var composeBuilt = sync.OnceValues(func() (string, error) {
	target := filepath.Join(tools, "compose")
	return target, build(nil, "go", "build", "-o", target, "./testdata/engine/compose")
})

// plainCompose runs a command line of Docker Compose, as docker compose does.
func (p *pod) plainCompose(args ...string) outcome {
	p.t.Helper()
	program, err := composeBuilt()
	if err != nil {
		p.t.Fatal(err)
	}
	line := slices.Concat([]string{"-p", p.name}, args)
	command := p.user.Command(p.t, program, line...)
	command.Dir, command.Env = p.folder, append(command.Env, p.env...)
	return p.finish(command)
}
