package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"upall/internal/event"
	"upall/internal/testenv"
)

// pair is a server and a client of it.
const pair = `
  server: {command: [TOOLS/server], expose: ["7000"]}
  client: {command: [TOOLS/load, often, "50", HERE/client.times, "server:7000"]}
`

// When the keeper is killed the project goes on, says so, and is taken down as any.
func TestE2EKeeperKilled(t *testing.T) {
	t.Parallel()
	eachRuntime(t, func(t *testing.T, w runtime) {
		p := w.project(t, pair)
		p.upDetached()
		s := p.allReady("server", "client")
		kill(t, s.KeeperPID)
		s = p.until(func(s snapshot) error {
			if s.KeeperPID != 0 {
				return fmt.Errorf("the keeper is still %d", s.KeeperPID)
			}
			return nil
		})
		warned := 0
		for _, e := range p.eventsOfLife() {
			if e.Type == event.Warning && strings.Contains(e.Message, "keeper") {
				warned++
			}
		}
		if warned != 1 {
			t.Errorf("there are %d warnings of the keeper, want 1", warned)
		}
		p.haveConnected(map[string]int{"client": len(p.connects("client")) + 50})
		p.allReady("server", "client")
		p.exec("restart", "server").want(0)
		p.until(func(s snapshot) error { return s.isReady("server") })
		if lock := p.lockedBy(); lock != s.SupervisorPID {
			t.Errorf("the lock names %d, want the supervisor %d", lock, s.SupervisorPID)
		}
	})
}

// When keeper and supervisor are killed, processes end with them, and the next `up`
// starts everything again.
func TestE2EBothKilled(t *testing.T) {
	t.Parallel()
	eachRuntime(t, func(t *testing.T, w runtime) {
		p := w.project(t, pair)
		p.upDetached()
		s := p.allReady("server", "client")
		kill(t, s.KeeperPID)
		kill(t, s.SupervisorPID)
		p.nothingLeft(stopPatience)
		p.isNotUp()
		p.exec("up", "-d").want(0)
		again := p.allReady("server", "client")
		if again.Life != 1 {
			t.Errorf("it is life %d, want 1", again.Life)
		}
		p.haveConnected(map[string]int{"client": 50})
	})
}

// What a reboot leaves of a project that was up, where /run outlives it, is in
// nobody's way.
func TestE2EReboot(t *testing.T) {
	t.Parallel()
	users(t, func(t *testing.T, user testenv.User) {
		p := runtime{user: user}.project(t, pair)
		p.upDetached()
		p.allReady("server", "client")
		files := p.stateFiles()
		p.exec("down").want(0)
		p.leave(files)
		p.isNotUp()
		p.leave(files)
		p.exec("up", "-d").want(0)
		if s := p.allReady("server", "client"); s.Life != 1 {
			t.Errorf("it is life %d, want 1", s.Life)
		}
	})
}

// stateFiles are what the project has in its state directory, and its lock. Sockets
// have no content.
func (p *project) stateFiles() map[string][]byte {
	p.t.Helper()
	files := map[string][]byte{p.stateDir() + ".lock": []byte("4194303   \n")} // the greatest PID that there may be
	err := filepath.WalkDir(p.stateDir(), func(path string, entry os.DirEntry, err error) error {
		switch {
		case err != nil || entry.IsDir():
			return err
		case entry.Type() == os.ModeSocket:
			files[path] = nil
			return nil
		}
		files[path], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return files
}

// leave puts files where they were, sockets that nobody listens on among them.
func (p *project) leave(files map[string][]byte) {
	p.t.Helper()
	chown := func(path string) {
		if err := os.Chown(path, p.user.UID, p.user.GID); err != nil {
			p.t.Fatal(err)
		}
	}
	for path, content := range files {
		for folder := filepath.Dir(path); folder != filepath.Dir(p.base()); folder = filepath.Dir(folder) {
			if err := os.MkdirAll(folder, 0o711); err != nil {
				p.t.Fatal(err)
			}
			if folder != "/run/upall" {
				chown(folder)
			}
		}
		if content != nil {
			if err := os.WriteFile(path, content, 0o600); err != nil {
				p.t.Fatal(err)
			}
			chown(path)
			continue
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			p.t.Fatal(err)
		}
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if err != nil {
			p.t.Fatal(err)
		}
		l.SetUnlinkOnClose(false)
		if err := l.Close(); err != nil {
			p.t.Fatal(err)
		}
		chown(path)
	}
}

// isNotUp: commands say so, and do not fail.
func (p *project) isNotUp() {
	p.t.Helper()
	for _, args := range [][]string{{"ps"}, {"stop"}} {
		o := p.exec(args...)
		if p.isProcesses() {
			o.says("not up")
		}
	}
}

// isProcesses tells whether no service of the project is a container.
func (p *project) isProcesses() bool {
	p.t.Helper()
	content, err := os.ReadFile(filepath.Join(p.folder, "compose.yaml"))
	if err != nil {
		p.t.Fatal(err)
	}
	return !bytes.Contains(content, []byte("image:"))
}

// lockedBy is the process that the project's lock names.
func (p *project) lockedBy() (pid int) {
	p.t.Helper()
	content, err := os.ReadFile(p.stateDir() + ".lock")
	if err == nil {
		_, err = fmt.Sscan(string(content), &pid)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return pid
}

// isReady says what the service lacks.
func (s snapshot) isReady(service string) error {
	for _, i := range s.Instances {
		if i.Service == service && i.State != "ready" {
			return fmt.Errorf("%s is %s", i.Instance, i.State)
		}
	}
	return nil
}

func kill(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatalf("kill %d: %v", pid, err)
	}
}
