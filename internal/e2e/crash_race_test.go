package e2e

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// races is how often commands of one project of processes meet in a test.
const races = 10

// Two `up` at the same moment bring up one project.
func TestE2EUpTwice(t *testing.T) {
	t.Parallel()
	eachRuntime(t, func(t *testing.T, w runtime) {
		p := w.project(t, pair)
		t.Cleanup(p.endDetached)
		for range w.rounds() {
			for _, o := range p.atOnce([]string{"up", "-d"}, []string{"up", "-d"}) {
				o.want(0)
			}
			s := p.allReady("server", "client")
			if keepers := p.keepers(); len(keepers) != 1 {
				t.Errorf("keepers %v, want one", keepers)
			}
			if s.Life != 1 {
				t.Errorf("it is life %d, want 1", s.Life)
			}
			p.exec("down").want(0)
			p.nothingLeft(stopPatience)
		}
	})
}

// `up` and `down` at the same moment come to an end, and leave nothing that another
// `down` does not find.
func TestE2EUpAndDown(t *testing.T) {
	t.Parallel()
	eachRuntime(t, func(t *testing.T, w runtime) {
		p := w.project(t, pair)
		t.Cleanup(p.endDetached)
		for n := range w.rounds() {
			if n%2 == 1 {
				p.exec("up", "-d").want(0)
			}
			p.atOnce([]string{"up", "-d"}, []string{"down"})[1].want(0)
			p.exec("down").want(0)
			p.nothingLeft(stopPatience)
			if _, err := os.Stat(p.stateDir()); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the state is left: %v", err)
			}
		}
	})
}

// rounds are fewer where they take longer.
func (w runtime) rounds() int {
	if testing.Short() || w.engine != nil {
		return 2
	}
	return races
}

// atOnce runs commands of upall at the same moment, to their end.
func (p *project) atOnce(lines ...[]string) (ended []outcome) {
	p.t.Helper()
	results := make([]chan outcome, len(lines))
	for n, line := range lines {
		results[n] = make(chan outcome, 1)
		go func() { results[n] <- p.exec(line...) }()
	}
	for _, c := range results {
		ended = append(ended, <-c)
	}
	return ended
}

// keepers are those of the project.
func (p *project) keepers() (all []int) {
	p.t.Helper()
	found, err := p.processes()
	if err != nil {
		p.t.Fatal(err)
	}
	for pid, command := range found {
		if strings.HasPrefix(command, "upall-keeper") {
			all = append(all, pid)
		}
	}
	return all
}

// A project that was brought up in a terminal outlives it, and other shells are
// its clients.
func TestE2EHangUp(t *testing.T) {
	t.Parallel()
	eachRuntime(t, func(t *testing.T, w runtime) {
		p := w.project(t, pair)
		t.Cleanup(p.endDetached)
		line := filepath.Join(tools, "upall") + " -p " + p.name + " up -d"
		// The terminal closes with the shell, and whoever is in it gets SIGHUP.
		terminal := p.command("ps")
		terminal.Path, terminal.Args = "/usr/bin/script", []string{"script", "--quiet", "--return", "--command", line, "/dev/null"}
		(&pod{project: p}).finish(terminal).want(0)
		before := p.allReady("server", "client")
		p.haveConnected(map[string]int{"client": 100})
		after := p.allReady("server", "client")
		if before.SupervisorPID != after.SupervisorPID || before.KeeperPID != after.KeeperPID {
			t.Errorf("supervisor and keeper were %d and %d, and are %d and %d", before.SupervisorPID, before.KeeperPID, after.SupervisorPID, after.KeeperPID)
		}
		p.exec("ps").want(0).says("server", "client")
		p.exec("logs", "server").want(0).says("listening")
		p.exec("restart", "server").want(0)
		p.until(func(s snapshot) error { return s.isReady("server") })
		p.exec("down").want(0)
		p.nothingLeft(time.Minute)
	})
}
