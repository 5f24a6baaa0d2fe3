package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"upall/internal/testenv"
)

// TestE2EAgentOthers: the control API is the owner's, whoever else there is on the
// engine's machine.
func TestE2EAgentOthers(t *testing.T) {
	t.Parallel()
	forAnEngine(t, func(t *testing.T, e testenv.Engine) {
		testenv.NeedProgram(t, "python3")
		p := newAgentPod(t, e, lateServices)
		gate := p.gate("gate")
		p.run("up", "-d").want(0)
		p.clientWaits()
		before, err := p.snapshot()
		if err != nil {
			t.Fatal(err)
		}
		p.hidesFrom(testenv.OrdinaryUser(t))
		member := dockerUser(t)
		p.hidesFrom(member)
		p.refuses(member)
		p.hidesFromContainers(before)
		if after, err := p.snapshot(); err != nil || after.SupervisorPID != before.SupervisorPID || len(after.Holds) != 1 {
			t.Errorf("the supervisor is %d with holds %s (%v), was %d with %s", after.SupervisorPID, after.Holds, err, before.SupervisorPID, before.Holds)
		}
		gate.open()
		p.are("exited", "client")
		p.down()
	})
}

// hidesFrom wants the kernel to keep a user from all that the project has there.
func (p *agentPod) hidesFrom(user testenv.User) {
	p.t.Helper()
	state := filepath.Join("/run/upall", p.name)
	const connect = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
	for _, line := range [][]string{
		{"python3", "-c", connect, filepath.Join(state, "control.sock")},
		{"python3", "-c", connect, filepath.Join(state, "private", "agent.sock")},
		{"ls", state},
		{"ls", filepath.Join(state, "private")},
		{"ls", "/run/upall"},
		{"ls", state + ".runs"},
		{"cat", state + ".lock"},
		{"touch", filepath.Join(state, "mine")},
	} {
		out, err := user.Command(p.t, line[0], line[1:]...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "Permission denied") {
			p.t.Errorf("%s runs %q: %v, said %q; want it to be denied", user.Name, line, err, out)
		}
	}
}

// refuses wants upall to tell another user of the engine whose project it is.
func (p *agentPod) refuses(user testenv.User) {
	p.t.Helper()
	other := emptyProject(p.t, user)
	other.name = p.name
	other.env = append(other.env, "DOCKER_HOST="+p.engine.Host)
	content, err := os.ReadFile(filepath.Join(p.folder, "compose.yaml"))
	if err != nil {
		p.t.Fatal(err)
	}
	other.write("compose.yaml", string(content))
	for _, args := range [][]string{{"ps"}, {"logs"}, {"up", "-d"}, {"up"}, {"restart", "idle"}, {"stop"}, {"down"}, {"graph"}, {"dash", "--plain"}} {
		out := other.exec(args...).want(1)
		want := []string{fmt.Sprintf("project %q is another user's (container %s)", p.name, p.agent())}
		if problem := oneLine(out.stderr, "", want); problem != "" {
			p.t.Errorf("%v: %s", args, problem)
		}
	}
}

// hidesFromContainers wants root in containers of the project to have no way to the
// control API, and no more rights than without upall.
func (p *agentPod) hidesFromContainers(s snapshot) {
	p.t.Helper()
	const rights = "^Cap" // a shim sets NoNewPrivs, which takes rights
	want := p.docker("run", "--rm", "upall-test/busybox:1", "grep", rights, "/proc/1/status")
	for _, i := range s.Instances {
		name := p.name + "-" + i.Instance
		if got := p.docker("exec", name, "grep", rights, "/proc/1/status"); got != want {
			p.t.Errorf("%s has the rights %q, want %q", i.Instance, got, want)
		}
		for _, path := range []string{"/run/upall", "/var/lib/upall", "/var/run/docker.sock", "/run/docker.sock"} {
			if p.finish(p.dockerCommand("exec", name, "ls", "-d", path)).code == 0 {
				p.t.Errorf("%s has %s", i.Instance, path)
			}
		}
		if p.mountsAlone(i.Instance) {
			p.handsOverAlone(name)
		}
	}
}

// mountsAlone wants a container to have of upall's files at most its own directory for
// the hand-over, and tells whether it has that: where the engine does not hand over.
func (p *agentPod) mountsAlone(instance string) (has bool) {
	p.t.Helper()
	own := fmt.Sprintf("/run/upall/%s/private/containers/%s", p.name, instance)
	for line := range strings.Lines(p.docker("exec", p.name+"-"+instance, "cat", "/proc/self/mountinfo")) {
		f := strings.Fields(line) // proc(5): the fourth is what of the file system, then come where, and how
		if !strings.HasPrefix(f[3], "/run/") {
			continue
		}
		if f[3] != own || f[4] != "/.upall/instance" || !strings.HasPrefix(f[5], "ro") {
			p.t.Errorf("%s has mounted %s", instance, line)
		}
		has = true
	}
	return has
}

// handsOverAlone wants a container's directory to have the socket for the hand-over
// alone, and that to answer no request.
func (p *agentPod) handsOverAlone(container string) {
	p.t.Helper()
	if files := p.docker("exec", container, "ls", "/.upall/instance"); files != "agent.sock\nfilter\nstate" {
		p.t.Errorf("%s sees %q", container, files)
	}
	if out := p.finish(p.dockerCommand("exec", container, "touch", "/.upall/instance/mine")); out.code == 0 {
		p.t.Errorf("%s may write to its directory", container)
	}
	request := p.dockerCommand("exec", "--interactive", container, "/tools/upall", "relay", "/.upall/instance/agent.sock")
	request.Stdin = strings.NewReader("GET /v1/project HTTP/1.1\r\nHost: upall\r\nConnection: close\r\n\r\n")
	if out := p.finish(request); out.stdout != "" {
		p.t.Errorf("%s asks the socket for the hand-over, and gets %q", container, out.stdout)
	}
}
