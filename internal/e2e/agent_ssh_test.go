package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"upall/internal/testenv"
)

// TestE2EAgentSSH: the engine is one that an account of another machine may command.
// Its socket is where most are, and the docker command there passes on.
func TestE2EAgentSSH(t *testing.T) {
	t.Parallel()
	e := sshEngine(t)
	s := startSSHD(t, dockerUser(t))
	far := e
	far.Host = s.host
	user := testenv.OrdinaryUser(t)
	s.admits(user)
	p := agentPodIn(emptyProject(t, user), far)
	p.write("compose.yaml", p.expandBox(agentHeader+farServices))
	gate, steps := p.gate("gate"), p.gate("steps")

	p.run("up", "-d").want(0).says("the project is up")
	p.hasAgent()
	p.clientWaits()
	p.run("ps").want(0).says("client-1", "server:7000 for")
	logs := p.starts("logs", "-f", "--no-log-prefix", "counter")
	p.step(steps, 2)
	logs.has("line 2")
	gate.open()
	p.are("exited", "client")
	p.run("logs", "--no-color", "client").want(0).says("client-1  | ok ")
	p.observesSoon("client server:7000/tcp 1\n")
	p.run("restart", "-t", "0", "server").want(0)
	p.down()
	logs.ends("line 1")
	p.nothingLeft(stopPatience) // no ssh
}

// sshEngine is the one that is at /var/run/docker.sock.
func sshEngine(t *testing.T) testenv.Engine {
	t.Helper()
	testenv.NeedRoot(t)
	testenv.NeedNFQueue(t)
	for _, e := range testenv.NeedEngines(t) {
		if e.Host == "unix:///var/run/docker.sock" {
			testenv.NeedImages(t, e, "busybox")
			return e
		}
	}
	testenv.Need(t, false, "an engine at /var/run/docker.sock")
	return testenv.Engine{}
}

// sshd is a server of the test's own, which admits one account.
type sshd struct {
	t       *testing.T
	account testenv.User
	folder  string // of root
	port    string
	host    string // for DOCKER_HOST
}

// startSSHD starts one. It ends with the test, and all sessions with it.
func startSSHD(t *testing.T, account testenv.User) *sshd {
	t.Helper()
	program := testenv.NeedProgram(t, "sshd")
	testenv.NeedProgram(t, "ssh")
	s := &sshd{t: t, account: account, folder: t.TempDir(), port: freePort(t)}
	s.host = "ssh://" + net.JoinHostPort(account.Name+"@127.0.0.1", s.port)
	s.makeKey("host")
	s.makeKey("client")
	// Where sshd leaves its privileges. Debian's unit makes it at a start of the service.
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		t.Fatal(err)
	}
	installKeys(t, account, map[string]string{"authorized_keys": s.read("client.pub")})
	// No password leads to the account, and yet it is not locked.
	if out, err := exec.Command("usermod", "--password", "*", account.Name).CombinedOutput(); err != nil {
		t.Fatalf("unlock %s: %v\n%s", account.Name, err, out)
	}
	config := filepath.Join(s.folder, "config")
	if err := os.WriteFile(config, fmt.Appendf(nil, sshdConfig, s.folder, s.port, account.Name), 0o600); err != nil {
		t.Fatal(err)
	}
	s.start(exec.Command(program, "-D", "-e", "-f", config))
	testenv.Eventually(t, patience, func() error {
		conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", s.port))
		if err != nil {
			return err
		}
		return conn.Close()
	})
	return s
}

const sshdConfig = `
HostKey %[1]s/host
PidFile %[1]s/pid
ListenAddress 127.0.0.1:%[2]s
AllowUsers %[3]s
UsePAM no
PasswordAuthentication no
LogLevel VERBOSE
MaxStartups 100
`

// start starts the server.
func (s *sshd) start(command *exec.Cmd) {
	s.t.Helper()
	var log bytes.Buffer
	command.Stderr = &log
	if err := command.Start(); err != nil {
		s.t.Fatalf("start sshd: %v", err)
	}
	s.t.Cleanup(func() {
		err := command.Process.Signal(syscall.SIGTERM)
		_ = command.Wait() // by the signal
		if s.t.Failed() || err != nil {
			s.t.Logf("sshd: %v\n%s", err, tail(log.String()))
		}
	})
	s.t.Cleanup(s.sessionsEnd) // which outlive it
}

// sessionsEnd waits for the end of those that nobody uses any more.
func (s *sshd) sessionsEnd() {
	s.t.Helper()
	testenv.Eventually(s.t, patience, func() error {
		if out, err := exec.Command("pgrep", "-a", "-u", s.account.Name).Output(); err == nil {
			return fmt.Errorf("processes of the account: %s", out)
		}
		return nil
	})
}

func (s *sshd) makeKey(name string) {
	s.t.Helper()
	out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", filepath.Join(s.folder, name)).CombinedOutput()
	if err != nil {
		s.t.Fatalf("make a key: %v\n%s", err, out)
	}
}

func (s *sshd) read(name string) string {
	s.t.Helper()
	content, err := os.ReadFile(filepath.Join(s.folder, name))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(content)
}

// installKeys writes files for ssh and sshd into a user's home.
func installKeys(t *testing.T, user testenv.User, files map[string]string) {
	t.Helper()
	folder := filepath.Join(user.Home, ".ssh")
	errs := []error{os.Mkdir(folder, 0o700), os.Chown(folder, user.UID, user.GID)}
	for name, content := range files {
		path := filepath.Join(folder, name)
		errs = append(errs, os.WriteFile(path, []byte(content), 0o600), os.Chown(path, user.UID, user.GID))
	}
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// admits gives a user the key, and what ssh has to know of the server.
func (s *sshd) admits(client testenv.User) {
	s.t.Helper()
	installKeys(s.t, client, map[string]string{
		"id_ed25519":  s.read("client"),
		"known_hosts": fmt.Sprintf("[127.0.0.1]:%s %s", s.port, s.read("host.pub")),
	})
	out, err := client.Command(s.t, "ssh", "-o", "BatchMode=yes", "-p", s.port, s.account.Name+"@127.0.0.1", "docker", "version", "--format", "{{.Server.Version}}").CombinedOutput()
	testenv.Need(s.t, err == nil, fmt.Sprintf("an account that ssh can use (%v: %s)", err, strings.TrimSpace(string(out))))
}
