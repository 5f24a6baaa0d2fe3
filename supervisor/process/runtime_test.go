package process

import (
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"upall/compose"
	"upall/internal/testenv"
)

// TestOpenAgain: a service that runs sees the names of services that came later,
// and the files of a later life are those of the first where nothing has changed.
func TestOpenAgain(t *testing.T) {
	dir := t.TempDir()
	state, err := OpenState(filepath.Join(dir, "base"), "p", os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	plan := lifePlan(fmt.Sprintf(`echo begun; while [ ! -e %s ]; do sleep 0.01; done; getent hosts later`, filepath.Join(dir, "proceed")))
	open := func() *Runtime {
		r, err := Open(Config{Plan: plan, State: state, Env: os.Environ(), Logger: slog.Default()})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	r := open()
	testenv.Need(t, r.NoNames() == nil, "mount namespaces")
	var out printed
	s := &plan.Services[0]
	p, err := r.Start(Launch{Service: s, Instance: s.Instances[0], Output: out.add})
	if err != nil {
		t.Fatal(err)
	}
	out.has(t, "stdout: begun")
	before, err := os.Stat(filepath.Join(state.path("web"), hostsFile))
	if err != nil {
		t.Fatal(err)
	}
	open()
	if after, err := os.Stat(filepath.Join(state.path("web"), hostsFile)); err != nil || !after.ModTime().Equal(before.ModTime()) {
		t.Errorf("the same names were written again (%v)", err)
	}
	plan.Services = append(plan.Services, compose.Service{
		Name: "later", Runtime: compose.Process, Names: []string{"later"}, Command: []string{"true"}, Dir: "/",
		Instances: []compose.Instance{{Name: "later-1", Index: 1, Addr: netip.MustParseAddr("127.99.0.7")}},
	})
	open()
	if err := os.WriteFile(filepath.Join(dir, "proceed"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	out.has(t, "stdout: 127.99.0.7      later later-1")
	if code := p.Wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if err := state.Close(); err != nil {
		t.Error(err)
	}
}

// TestOverwrite: who reads meanwhile never sees less than what stays.
func TestOverwrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hosts")
	if err := overwrite(path, []byte("stays\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	first, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	stop, done := make(chan struct{}), make(chan error) // the reader's one result
	go func() {
		for {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			if text, err := os.ReadFile(path); err != nil || len(text) < 6 || string(text[:6]) != "stays\n" {
				done <- fmt.Errorf("read %q: %w", text, err)
				return
			}
		}
	}()
	for end := time.Now().Add(50 * time.Millisecond); time.Now().Before(end); {
		for _, text := range []string{"stays\nand more\n", "stays\n"} {
			if err := overwrite(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	close(stop)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "stays\n" {
		t.Errorf("it has %q (%v)", text, err)
	}
	if last, err := os.Stat(path); err != nil || !os.SameFile(first, last) {
		t.Errorf("it is another file (%v)", err)
	}
}
