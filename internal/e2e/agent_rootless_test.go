package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"upall/internal/testenv"
)

// TestE2EAgentRootless: with a rootless engine nobody needs to be root, nor in a group,
// nor to have anything prepared.
func TestE2EAgentRootless(t *testing.T) {
	t.Parallel()
	testenv.NeedRoot(t) // to make a user
	user := testenv.OrdinaryUser(t)
	e := newRootlessEngine(t, testenv.NeedEngine(t), user)
	p := &agentPod{podIn(emptyProject(t, user), e.Engine)}
	p.write("compose.yaml", p.expandBox(agentHeader+lateServices+`
  checked: {BOX, init: true, command: [sh, -c, "sleep 1; touch /up; sleep 1000"], healthcheck: {test: [CMD, test, -e, /up], interval: 1m}}
`))
	t.Cleanup(func() {
		if t.Failed() {
			p.reportAgent()
		}
	})
	gate := p.gate("gate")
	p.run("doctor").says("a container of the engine supervises containers, because a rootless engine has namespaces of its own")
	p.run("up", "-d").want(0)
	p.clientHeld()
	supervisor := p.supervisorOf(p.agent())
	kill(t, supervisor)
	p.eventually(func() error {
		if p.supervisorOf(p.agent()) == supervisor {
			return errors.New("the supervisor is still there")
		}
		return nil
	})
	p.clientHeld()
	gate.open()
	p.shows("client-1 +client +engine +exited", "server-1 .* ready", "idle-1 .* ready", "checked-1 .* ready")
	gate.open()
	p.run("restart", "server").want(0)
	p.shows("server-1 .* ready")
	p.run("graph").want(0).says("client -> server:7000/tcp")
	p.run("stop").want(0)
	p.run("timeline").want(0).says("client", "server")
	p.run("down", "-t", "1").want(0)
	if left := append(p.left(), p.agents()...); len(left) > 0 {
		t.Errorf("left behind by down: %q", left)
	}
	if files, err := filepath.Glob(fmt.Sprintf("/tmp/upall-%d/*", user.UID)); err != nil || len(files) > 0 {
		t.Errorf("left behind: %v %v", files, err)
	}
}

// supervisorOf is the process that the keeper of an agent has started, 0 while there is
// none. The control API answers nobody else than the user, not even root: the user
// namespace of the agent does not know who that is.
func (p *pod) supervisorOf(container string) (pid int) {
	p.t.Helper()
	keeper := p.docker("inspect", "--format", "{{.State.Pid}}", container)
	children, err := os.ReadFile("/proc/" + keeper + "/task/" + keeper + "/children")
	if err != nil {
		p.t.Fatal(err)
	}
	_, _ = fmt.Sscan(string(children), &pid)
	return pid
}

// newRootlessEngine starts an engine like that one as an ordinary user, as
// dockerd-rootless.sh does it. The user gets a device for the engine's network, and the
// mount namespace that this takes.
func newRootlessEngine(t *testing.T, like testenv.Engine, user testenv.User) *ownEngine {
	t.Helper()
	for _, name := range []string{"newuidmap", "rootlesskit", "setpriv", "slirp4netns", "unshare"} {
		testenv.NeedProgram(t, name)
	}
	e := prepareEngine(t, like)
	if err := os.Chown(e.dir, user.UID, user.GID); err != nil {
		t.Fatal(err)
	}
	rootless := append([]string{
		"rootlesskit", "--state-dir", e.file("rootlesskit"), "--net=slirp4netns", "--mtu=65520", "--disable-host-loopback", "--port-driver=builtin",
		"--copy-up=/etc", "--copy-up=/run", "sh", "-c", `rm -f /run/docker /run/containerd /run/xtables.lock && exec dockerd "$@"`,
	}, append([]string{"dockerd", "--rootless"}, e.options()...)...)
	script := fmt.Sprintf(`mknod %[1]s c 10 200 && chmod 666 %[1]s && mount --bind %[1]s /dev/net/tun &&
exec setpriv --reuid=%[2]d --regid=%[3]d --clear-groups env -i HOME=%[4]s USER=%[5]s XDG_RUNTIME_DIR=%[6]s PATH=%[7]s "$@"`,
		e.file("tun"), user.UID, user.GID, user.Home, user.Name, e.dir, e.path)
	e.keep("rootless", exec.Command("unshare", append([]string{"--mount", "sh", "-c", script, "sh"}, rootless...)...))
	e.awaitAnswer()
	e.load(like, "upall-test/busybox:1")
	if info, err := e.docker("info", "--format", "{{.SecurityOptions}}").Output(); err != nil || !strings.Contains(string(info), "rootless") {
		t.Fatalf("the engine is not rootless: %s %v", info, err)
	}
	return e
}
