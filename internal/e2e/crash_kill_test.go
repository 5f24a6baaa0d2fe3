package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"upall/internal/event"
	"upall/internal/testenv"
)

// kills is how often a test kills the supervisor.
const kills = 20

// snapshot is what a project's supervisor says of itself.
type snapshot struct {
	Version       string `json:"version"`
	Phase         string `json:"phase"`
	Error         string `json:"error"`
	Life          int    `json:"life"`
	SupervisorPID int    `json:"supervisor_pid"`
	KeeperPID     int    `json:"keeper_pid"`
	Prefix        string `json:"prefix"`
	Instances     []struct {
		Service     string `json:"service"`
		Instance    string `json:"instance"`
		State       string `json:"state"`
		Code        int    `json:"code"`
		Restarts    int    `json:"restarts"`
		PID         int    `json:"pid"`
		ContainerID string `json:"container_id"`
	} `json:"instances"`
	Holds []json.RawMessage `json:"holds"`
}

// base is where the states of the user's projects are.
func (p *project) base() string {
	if p.user.UID == 0 {
		return "/run/upall"
	}
	return "/tmp/upall-" + strconv.Itoa(p.user.UID)
}

// stateDir is the project's.
func (p *project) stateDir() string { return filepath.Join(p.base(), p.name) }

// control is a client of the project's control API.
func (p *project) control() *http.Client {
	path := filepath.Join(p.stateDir(), "private", "control.sock")
	var d net.Dialer
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return d.DialContext(ctx, "unix", path)
	}}
	return &http.Client{Transport: transport, Timeout: patience}
}

// snapshot asks the supervisor. It may be gone.
func (p *project) snapshot() (s snapshot, err error) {
	answer, err := p.control().Get("http://upall/v1/project")
	if err != nil {
		return s, err
	}
	err = json.NewDecoder(answer.Body).Decode(&s)
	return s, errors.Join(err, answer.Body.Close())
}

// mustSnapshot waits for a supervisor that answers.
func (p *project) mustSnapshot() (s snapshot) {
	p.t.Helper()
	testenv.Eventually(p.t, patience, func() (err error) {
		s, err = p.snapshot()
		return err
	})
	return s
}

// until waits until the supervisor says what is asked for.
func (p *project) until(fact func(s snapshot) error) (s snapshot) {
	p.t.Helper()
	testenv.Eventually(p.t, patience, func() (err error) {
		if s, err = p.snapshot(); err == nil {
			err = fact(s)
		}
		return err
	})
	return s
}

// crash is one death of a supervisor.
type crash struct {
	killed   time.Time
	answered time.Time // when the next life had answered
}

// took is how long nobody answered.
func (c crash) took() time.Duration { return c.answered.Sub(c.killed) }

func (c crash) String() string { return c.took().Round(time.Millisecond).String() }

// crashOften kills the supervisor n times, each at a random moment within
// spread after it has answered.
func (p *project) crashOften(n int, spread time.Duration) (all []crash) {
	p.t.Helper()
	s := p.mustSnapshot()
	for range n {
		<-time.After(rand.N(spread))
		var c crash
		c, s = p.crash(s)
		all = append(all, c)
	}
	return all
}

// crash kills the supervisor, which has said was, and waits for its next life.
func (p *project) crash(was snapshot) (c crash, next snapshot) {
	p.t.Helper()
	c.killed = time.Now()
	if err := syscall.Kill(was.SupervisorPID, syscall.SIGKILL); err != nil {
		p.t.Fatalf("kill the supervisor %d: %v", was.SupervisorPID, err)
	}
	next = p.until(func(s snapshot) error {
		if s.Life != was.Life+1 {
			return fmt.Errorf("life %d, want %d", s.Life, was.Life+1)
		}
		return nil
	})
	c.answered = time.Now()
	return c, next
}

// allReady waits until the services are ready, and fails the test if one of them
// is not the run that it was at the start.
func (p *project) allReady(services ...string) snapshot {
	p.t.Helper()
	s := p.until(func(s snapshot) error {
		for _, i := range s.Instances {
			if i.State == "exited" || i.State == "failed" || i.Restarts > 0 {
				return nil
			}
			for _, name := range services {
				if i.Service == name && i.State != "ready" {
					return fmt.Errorf("%s is %s", i.Instance, i.State)
				}
			}
		}
		return nil
	})
	for _, i := range s.Instances {
		isJob := strings.HasPrefix(i.Service, "once")
		if i.Restarts > 0 || (!isJob && i.State == "exited") || i.Code != 0 || i.State == "failed" {
			p.t.Errorf("%s is %s with code %d after %d restarts", i.Instance, i.State, i.Code, i.Restarts)
		}
	}
	return s
}

// upDetached brings the project up in the background; the test's end takes it down.
func (p *project) upDetached() {
	p.t.Helper()
	p.t.Cleanup(p.endDetached)
	p.exec("up", "-d").want(0)
}

// exec runs a command of upall to its end.
func (p *project) exec(args ...string) outcome {
	p.t.Helper()
	return (&pod{project: p}).run(args...)
}

// endDetached takes the project down. Nothing of it is left.
func (p *project) endDetached() {
	p.t.Helper()
	if p.t.Failed() {
		p.reportState()
	}
	down := afterTest(p.command("down", "-t", "1"))
	if out, err := down.CombinedOutput(); err != nil {
		p.t.Errorf("take the project down: %v\n%s", err, out)
	}
	p.nothingLeft(stopPatience)
	for _, path := range []string{p.stateDir(), p.stateDir() + ".lock"} {
		if exists(path) {
			p.t.Errorf("left behind: %s", path)
		}
	}
}

// reportState logs what a failed test leaves in the background.
func (p *project) reportState() {
	p.t.Helper()
	out, err := afterTest(p.command("logs", "--tail", "20")).CombinedOutput()
	p.t.Logf("logs: %v\n%s", err, tail(string(out)))
	log, err := os.ReadFile(filepath.Join(p.stateDir(), "private", "log"))
	p.t.Logf("the supervisor's log: %v\n%s", err, tail(string(log)))
	var events strings.Builder
	for _, e := range p.eventsOfLife() {
		if e.Type != event.Log {
			fmt.Fprintln(&events, line(e))
		}
	}
	p.t.Logf("the events of its last life:\n%s", tail(events.String()))
}

// eventsOfLife are those that the present supervisor has told.
func (p *project) eventsOfLife() (all []event.Event) {
	p.t.Helper()
	answer, err := p.control().Get("http://upall/v1/events")
	if err != nil {
		p.t.Logf("ask for events: %v", err)
		return nil
	}
	defer func() { _ = answer.Body.Close() }() // only read
	for d := json.NewDecoder(answer.Body); ; {
		var e event.Event
		if err := d.Decode(&e); err != nil {
			return all
		}
		all = append(all, e)
	}
}
