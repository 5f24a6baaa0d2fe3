package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"upall/compose"
	"upall/internal/event"
	"upall/internal/testenv"
)

const runLimit = 2 * time.Minute // until all clients are held; seconds are usual

// TestContainersRun runs the program upall on containers of all kinds.
func TestContainersRun(t *testing.T) {
	engines := testenv.NeedEngines(t)
	binary := buildUpall(t)
	for _, engine := range engines {
		t.Run(engineName(engine.Host), func(t *testing.T) {
			e := openEngine(t, engine.Host)
			t.Run("holds", func(t *testing.T) { checkHolds(t, e, binary) })
			t.Run("setuid", func(t *testing.T) { checkSetuid(t, e, binary) })
			t.Run("alone", func(t *testing.T) { checkAlone(t, e, binary) })
		})
	}
}

// buildUpall builds the static program as the Makefile does: as the shim it may
// need nothing of an image.
func buildUpall(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "upall")
	out, err := exec.CommandContext(t.Context(), testenv.NeedProgram(t, "make"), "-C", "../..", "build", "BIN="+binary).CombinedOutput()
	if err != nil {
		t.Fatalf("build upall: %v: %s", err, out)
	}
	return binary
}

// checkHolds: each connect of a container to a late server is held, whatever
// the container may do and sees.
func checkHolds(t *testing.T, e *Engine, binary string) {
	t.Helper()
	p := newProject(t, e, binary, "holds")
	if canRunPrivileged(t) {
		p.flags = append(p.flags, "--profile", "privileged")
	} else {
		t.Log("the engine can run no privileged container of root here, not even without upall: that one is left out")
	}
	record, signal := filepath.Join(t.TempDir(), "events"), t.TempDir()
	t.Setenv(corpusVariable, signal)
	ended := make(chan outcome, 1) // of the one run
	go func() { ended <- p.run("--exit-code-from", "last", "--events", record) }()
	clients := slices.DeleteFunc(p.services(), func(name string) bool {
		return slices.Contains([]string{"server", "beside", "pod", "signal"}, name)
	})
	testenv.Eventually(t, runLimit, func() error {
		select {
		case o := <-ended:
			t.Fatalf("upall ended with %d: %s", o.code, o.text)
		default:
		}
		holds := readHolds(t, record)
		if free := slices.DeleteFunc(slices.Clone(clients), func(name string) bool { return len(holds[name]) > 0 }); len(free) > 0 {
			return fmt.Errorf("not held: %q", free)
		}
		return nil
	})
	if err := os.WriteFile(filepath.Join(signal, "now"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if o := <-ended; o.code != 0 {
		t.Errorf("a client has failed, upall ended with %d: %s", o.code, o.text)
	}
	holds := readHolds(t, record)
	for _, name := range clients {
		if got := holds[name]; !slices.Equal(got, []event.End{"", event.Released}) {
			t.Errorf("the holds of %s ended as %q, want one that was released", name, got)
		}
	}
}

// readHolds returns for each service how its holds ended, "" for each that
// began. A line that is not complete yet is left out.
func readHolds(t *testing.T, record string) map[string][]event.End {
	t.Helper()
	text, err := os.ReadFile(record)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	holds := map[string][]event.End{}
	for line := range bytes.Lines(text) {
		var e event.Event
		if json.Unmarshal(line, &e) != nil {
			continue
		}
		if e.Type == event.HoldBegan || e.Type == event.HoldEnded {
			holds[e.Service] = append(holds[e.Service], e.End)
		}
	}
	return holds
}

// checkSetuid: setuid programs raise the privilege where they do without upall,
// but for those behind a shim that is no admin (docs/fidelity.md).
func checkSetuid(t *testing.T, e *Engine, binary string) {
	t.Helper()
	const root, ordinary = 0, 77
	without := map[string]int{"ordinary": root, "admin": root, "no-new-privileges": ordinary}
	with := map[string]int{"ordinary": root, "admin": root, "no-new-privileges": ordinary}
	if !e.HasListenerPath() {
		with["ordinary"] = ordinary
	}
	p := newProject(t, e, binary, "setuid")
	for service := range without {
		t.Setenv("UPALL_INTERCEPT", "off")
		if o := p.run("--force-recreate", "--exit-code-from", service, service); o.code != without[service] {
			t.Errorf("%s is user %d without upall, want %d: %s", service, o.code, without[service], o.text)
		}
		t.Setenv("UPALL_INTERCEPT", "")
		if o := p.run("--force-recreate", "--exit-code-from", service, service); o.code != with[service] {
			t.Errorf("%s is user %d, want %d: %s", service, o.code, with[service], o.text)
		}
	}
}

// checkAlone: a container that is started without upall runs as if there were no
// shim; one with a profile does not start, for nobody would answer its connects.
func checkAlone(t *testing.T, e *Engine, binary string) {
	t.Helper()
	p := newProject(t, e, binary, "alone")
	if o := p.run("--exit-code-from", "self"); o.code != 0 {
		t.Fatalf("upall ended with %d: %s", o.code, o.text)
	}
	out, err := exec.CommandContext(t.Context(), testenv.NeedProgram(t, "docker"), "start", "--attach", p.name+"-self-1").CombinedOutput()
	switch {
	case e.HasListenerPath() && err == nil:
		t.Errorf("started, and said %q", out)
	case !e.HasListenerPath() && (err != nil || string(out) != "self\n"):
		t.Errorf("it said %q (%v), want what it sent to itself", out, err)
	}
}

// canRunPrivileged tells whether the engine can at all, which it cannot where it
// has lost a capability itself.
func canRunPrivileged(t *testing.T) bool {
	t.Helper()
	docker := testenv.NeedProgram(t, "docker")
	return exec.CommandContext(t.Context(), docker, "run", "--rm", "--privileged", "--user", "0", "upall-test/static:1", "version").Run() == nil
}

// project is a project of testdata/fidelity/run.
type project struct {
	*testing.T
	binary, name, file string
	flags              []string
}

// newProject makes a project of a file, which is taken down when the test ends.
func newProject(t *testing.T, e *Engine, binary, name string) *project {
	t.Helper()
	file, err := filepath.Abs("testdata/fidelity/run/" + name + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	needImages(t, e, file)
	p := &project{T: t, binary: binary, name: fmt.Sprintf("upall-h-fid-%s-%d", name, os.Getpid()), file: file}
	t.Cleanup(func() { removeProject(t, e, p.name) })
	return p
}

// outcome is how a run of upall ended.
type outcome struct {
	code int // -1: it did not run
	text string
}

// run runs upall up.
func (p *project) run(args ...string) outcome {
	all := append([]string{"-p", p.name, "-f", p.file}, p.flags...)
	cmd := exec.CommandContext(p.Context(), p.binary, append(append(all, "up"), args...)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // which ends its containers
	text, err := cmd.CombinedOutput()
	exit, isExit := errors.AsType[*exec.ExitError](err)
	switch {
	case isExit:
		return outcome{exit.ExitCode(), string(text)}
	case err != nil:
		return outcome{-1, err.Error()}
	}
	return outcome{0, string(text)}
}

// services are the names of those that are on.
func (p *project) services() []string {
	p.Helper()
	var profiles []string
	if len(p.flags) > 0 {
		profiles = p.flags[1:]
	}
	loaded, err := compose.Load(p.Context(), compose.Options{Files: []string{p.file}, Name: p.name, Profiles: profiles})
	if err != nil {
		p.Fatal(err)
	}
	return loaded.ServiceNames()
}
