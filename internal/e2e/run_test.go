package e2e

import (
	"cmp"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"upall/internal/event"
)

// Limits of waiting. They only bound how long a broken upall can hold a test.
const (
	patience     = 3 * time.Minute  // for an event or an end, on a machine that has other work too
	stopPatience = 20 * time.Second // for the end after an interrupt
)

// run is one run of upall up.
type run struct {
	t       *testing.T
	project *project
	command *exec.Cmd
	record  *record
	stdout  string // path of a file
	stderr  string
	done    chan struct{} // closed when upall has ended
	killed  bool          // the test itself killed upall
}

// up starts upall up with more arguments. When the test ends, upall is
// interrupted, and no process of the project may be left.
func (p *project) up(args ...string) *run {
	p.t.Helper()
	return p.upEnv(nil, args...)
}

// upEnv is up with more environment for upall.
func (p *project) upEnv(env []string, args ...string) *run {
	p.t.Helper()
	log, err := os.MkdirTemp(p.folder, "run-")
	if err != nil {
		p.t.Fatal(err)
	}
	r := &run{t: p.t, project: p, stdout: filepath.Join(log, "stdout"), stderr: filepath.Join(log, "stderr"), done: make(chan struct{})}
	events := filepath.Join(log, "events")
	if err := errors.Join(os.WriteFile(events, nil, 0o600), os.Chown(events, p.user.UID, p.user.GID), os.Chmod(log, 0o755)); err != nil {
		p.t.Fatal(err)
	}
	if r.record, err = follow(events); err != nil {
		p.t.Fatalf("follow the events: %v", err)
	}
	r.command = p.command(append([]string{"up", "--events", events, "--no-color"}, args...)...)
	r.command.Env = append(r.command.Env, env...)
	r.start()
	p.t.Cleanup(r.cleanUp)
	return r
}

// command returns a command of upall for the project.
func (p *project) command(args ...string) *exec.Cmd {
	p.t.Helper()
	line := append([]string{cmp.Or(p.upall, filepath.Join(tools, "upall")), "-p", p.name}, args...)
	if p.netNS {
		line = append([]string{"unshare", "--net", "sh", "-c", `ip link set lo up && exec "$0" "$@"`}, line...)
	}
	command := p.user.Command(p.t, line[0], line[1:]...)
	command.Dir = p.folder
	command.Env = append(command.Env, p.env...)
	command.Env = append(command.Env, p.mark())
	// The end of the test interrupts upall, as a person would.
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = stopPatience
	return command
}

// mark is a variable in the environment of every process of the project.
func (p *project) mark() string { return "UPALL_E2E_PROJECT=" + p.name }

func (r *run) start() {
	r.t.Helper()
	stdout, err := os.Create(r.stdout)
	if err != nil {
		r.t.Fatal(err)
	}
	stderr, err := os.Create(r.stderr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.command.Stdout, r.command.Stderr = stdout, stderr
	if err := errors.Join(r.command.Start(), stdout.Close(), stderr.Close()); err != nil {
		r.t.Fatalf("start upall: %v", err)
	}
	go func() {
		defer close(r.done)
		// How it ended is read from ProcessState.
		_ = r.command.Wait()
	}()
}

// wait returns the first event, from the start of the run on, that matches.
func (r *run) wait(what string, matches match) event.Event {
	r.t.Helper()
	return r.waitN(1, what, matches)[0]
}

// waitN returns the first n events that match.
func (r *run) waitN(n int, what string, matches match) []event.Event {
	r.t.Helper()
	return r.waitWithin(patience, n, what, matches)
}

func (r *run) waitWithin(limit time.Duration, n int, what string, matches match) []event.Event {
	r.t.Helper()
	deadline := time.After(limit)
	var found []event.Event
	for seen, ended := 0, false; ; {
		events, more, err := r.record.since(seen)
		if err != nil {
			r.t.Fatalf("read the events: %v", err)
		}
		seen += len(events)
		for _, e := range events {
			if matches(e) {
				found = append(found, e)
			}
		}
		if len(found) >= n {
			return found[:n]
		}
		if ended {
			r.t.Fatalf("upall ended with code %d before there was %s (%d of %d)", r.code(), what, len(found), n)
		}
		select {
		case <-more:
		case <-r.done:
			r.record.read() // the last events
			ended = true
		case <-deadline:
			r.t.Fatalf("not within %v: %s (%d of %d)", limit, what, len(found), n)
		}
	}
}

// all returns the events so far that match.
func (r *run) all(matches match) []event.Event {
	r.t.Helper()
	r.record.read()
	events, _, err := r.record.since(0)
	if err != nil {
		r.t.Fatalf("read the events: %v", err)
	}
	return slices.DeleteFunc(events, func(e event.Event) bool { return !matches(e) })
}

// waitExit waits for the end of a service and returns its exit code.
func (r *run) waitExit(service string) int {
	r.t.Helper()
	return r.wait("the end of "+service, exited(service)).Code
}

// output returns what a service printed so far.
func (r *run) output(service string) string {
	var lines []string
	for _, e := range r.all(func(e event.Event) bool { return e.Type == event.Log && e.Service == service }) {
		lines = append(lines, e.Message)
	}
	return strings.Join(lines, "\n")
}

// end waits for the end of upall and returns its exit code.
func (r *run) end() int {
	r.t.Helper()
	select {
	case <-r.done:
		return r.code()
	case <-time.After(patience):
		r.t.Fatalf("upall did not end within %v", patience)
		return -1
	}
}

// code returns the exit code of upall, which has ended; -1 after a signal.
func (r *run) code() int { return r.command.ProcessState.ExitCode() }

// interrupt does what Ctrl-C does, and waits for the end.
func (r *run) interrupt() int {
	r.t.Helper()
	r.signal(os.Interrupt)
	return r.end()
}

func (r *run) signal(signal os.Signal) {
	r.t.Helper()
	if err := r.command.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		r.t.Fatalf("send upall %v: %v", signal, err)
	}
}

// kill ends upall in the way that it cannot prepare for.
func (r *run) kill() {
	r.t.Helper()
	r.killed = true
	if err := r.command.Process.Kill(); err != nil {
		r.t.Fatalf("kill upall: %v", err)
	}
	r.end()
}

// errorText returns what upall wrote to stderr.
func (r *run) errorText() string {
	r.t.Helper()
	text, err := os.ReadFile(r.stderr)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(text)
}

// endedWell tells that upall exited, or was interrupted in its first or last
// moment, when it handles no signals.
func endedWell(state *os.ProcessState) bool {
	status, ok := state.Sys().(syscall.WaitStatus)
	return ok && (status.Exited() || status.Signal() == syscall.SIGINT)
}

// cleanUp ends the run after the test, which has interrupted upall already
// (see command).
func (r *run) cleanUp() {
	select {
	case <-r.done:
	case <-time.After(stopPatience + patience):
		r.t.Errorf("upall %d did not end", r.command.Process.Pid)
	}
	if state := r.command.ProcessState; state != nil && !r.killed && !endedWell(state) {
		r.t.Errorf("upall ended with %v", state)
	}
	r.project.nothingLeft(stopPatience)
	r.project.forget()
	r.record.read()
	if err := r.record.close(); err != nil {
		r.t.Errorf("close the events: %v", err)
	}
	if r.t.Failed() {
		r.report()
	}
}
