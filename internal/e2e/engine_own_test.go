package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"upall/internal/testenv"
)

// ownEngine is an engine of a test's own, which may be ended: with the programs of
// another, and with its image for services. It has a network namespace to itself, for
// it takes away bridges and rules of the packet filter that are another's.
type ownEngine struct {
	testenv.Engine
	t       *testing.T
	dir     string
	cgroup  string
	path    string // of programs
	daemons []*exec.Cmd
}

// newOwnEngine starts an engine like that one.
func newOwnEngine(t *testing.T, like testenv.Engine) *ownEngine {
	t.Helper()
	e := prepareEngine(t, like)
	e.write("containerd.toml", fmt.Sprintf("version = 2\nroot = %q\nstate = %q\n[grpc]\naddress = %q\n",
		e.file("containerd"), e.file("containerd-state"), e.file("containerd.sock")))
	e.daemon("containerd", "--config", e.file("containerd.toml"))
	testenv.Eventually(t, patience, func() error {
		_, err := os.Stat(e.file("containerd.sock"))
		return err
	})
	e.start()
	e.load(like, "upall-test/busybox:1")
	return e
}

// prepareEngine makes the folder of an engine.
func prepareEngine(t *testing.T, like testenv.Engine) *ownEngine {
	t.Helper()
	dir, err := os.MkdirTemp("", "upall-engine-") // not the test's own: sockets have short paths
	if err == nil {
		err = os.Chmod(dir, 0o711) // other users reach the socket
	}
	if err != nil {
		t.Fatal(err)
	}
	e := &ownEngine{t: t, dir: dir, cgroup: filepath.Base(dir), path: programsOf(t, like)}
	t.Cleanup(e.remove)
	e.Engine = testenv.Engine{Host: "unix://" + e.file("docker.sock"), Version: like.Version, API: like.API}
	e.write("daemon.json", "{}") // else it reads that of the machine's
	return e
}

func (e *ownEngine) write(name, content string) {
	e.t.Helper()
	if err := os.WriteFile(e.file(name), []byte(content), 0o644); err != nil {
		e.t.Fatal(err)
	}
}

func (e *ownEngine) file(name string) string { return filepath.Join(e.dir, name) }

// programsOf is a PATH with the programs of an engine: that of its daemon, and what is
// installed beside it.
func programsOf(t *testing.T, e testenv.Engine) string {
	t.Helper()
	conn, err := net.Dial("unix", strings.TrimPrefix(e.Host, "unix://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var daemon string
	readErr := raw.Control(func(fd uintptr) {
		var peer *unix.Ucred
		if peer, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			daemon, err = os.Readlink(fmt.Sprintf("/proc/%d/exe", peer.Pid))
		}
	})
	testenv.Need(t, errors.Join(err, readErr) == nil && filepath.Base(daemon) == "dockerd", "the programs of the engine at "+e.Host)
	programs := filepath.Dir(daemon)
	return programs + ":" + filepath.Join(filepath.Dir(programs), "bin") + ":" + os.Getenv("PATH")
}

// start starts the engine, also again.
func (e *ownEngine) start() {
	e.t.Helper()
	e.daemon("dockerd", append(e.options(), "--containerd", e.file("containerd.sock"), "--group", "docker",
		"--exec-opt", "native.cgroupdriver=cgroupfs", "--cgroup-parent", "/"+e.cgroup)...)
	e.awaitAnswer()
}

// options are those that each engine has of the same kind.
func (e *ownEngine) options() []string {
	return []string{
		"--config-file", e.file("daemon.json"), "--data-root", e.file("data"), "--exec-root", e.file("exec"), "--pidfile", e.file("docker.pid"),
		"--host", e.Host, "--default-address-pool", "base=" + newSubnet() + ".0/24,size=26",
	}
}

func (e *ownEngine) awaitAnswer() {
	e.t.Helper()
	testenv.Eventually(e.t, patience, func() error {
		out, err := e.docker("version").CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
}

func (e *ownEngine) docker(args ...string) *exec.Cmd {
	return exec.Command("docker", append([]string{"--host", e.Host}, args...)...)
}

// daemon starts a program, in a session of its own.
func (e *ownEngine) daemon(name string, args ...string) {
	e.t.Helper()
	e.keep(name, exec.Command("unshare", append([]string{"--net", "env", "PATH=" + e.path, name}, args...)...))
}

// keep starts a command that goes on, and ends with the engine.
func (e *ownEngine) keep(name string, command *exec.Cmd) {
	e.t.Helper()
	log, err := os.OpenFile(e.file(name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		e.t.Fatal(err)
	}
	defer func() { _ = log.Close() }() // the daemon has it
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := command.Start(); err != nil {
		e.t.Fatal(err)
	}
	e.daemons = append(e.daemons, command)
}

// end ends the daemon that was started last, and waits for its end.
func (e *ownEngine) end(by syscall.Signal) {
	e.t.Helper()
	last := e.daemons[len(e.daemons)-1]
	e.daemons = e.daemons[:len(e.daemons)-1]
	if err := last.Process.Signal(by); err != nil {
		e.t.Error(err)
	}
	_ = last.Wait() // by a signal, or not
}

// load takes an image from another engine.
func (e *ownEngine) load(from testenv.Engine, image string) {
	e.t.Helper()
	save := exec.Command("docker", "--host", from.Host, "save", image)
	load := e.docker("load")
	var said, complaint bytes.Buffer
	load.Stdout, load.Stderr, save.Stderr = &said, &said, &complaint
	var err error
	if load.Stdin, err = save.StdoutPipe(); err == nil {
		err = errors.Join(save.Start(), load.Run(), save.Wait())
	}
	if err != nil {
		e.t.Fatalf("load %s: %v: %s%s", image, err, said.String(), complaint.String())
	}
}

// remove ends the engine and removes what it leaves.
func (e *ownEngine) remove() {
	if e.t.Failed() {
		for _, name := range []string{"containerd", "dockerd", "rootless"} {
			if log, err := os.ReadFile(e.file(name + ".log")); err == nil { // else there is no such daemon
				e.t.Logf("the end of the log of %s:\n%s", name, tail(string(log)))
			}
		}
	}
	for len(e.daemons) > 0 {
		e.end(syscall.SIGTERM)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		e.t.Error(err)
	}
	for _, line := range slices.Backward(strings.Split(string(mounts), "\n")) {
		if fields := strings.Fields(line); len(fields) > 4 && strings.HasPrefix(fields[4], e.dir+"/") {
			_ = unix.Unmount(fields[4], unix.MNT_DETACH) // else the folder cannot be removed, which is told
		}
	}
	groups, err := filepath.Glob("/sys/fs/cgroup/" + e.cgroup)
	for _, g := range groups {
		err = errors.Join(err, os.Remove(g))
	}
	if err = errors.Join(err, os.RemoveAll(e.dir)); err != nil {
		e.t.Error(err)
	}
}
