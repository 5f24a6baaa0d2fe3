package engine

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"upall/compose"
	"upall/internal/testenv"
)

const runtimeFile = `
services:
  pair:
    image: upall-test/busybox:1
    scale: 2
    stop_signal: KILL
    secrets: [word]
    command: [sh, -c, 'cat /run/secrets/word; echo; echo wrong >&2; sleep 1000']
    post_start: [{command: [sh, -c, 'echo "after the start: $$A" > /proc/1/fd/1'], environment: {A: '$$x y'}}]
    pre_stop: [{command: [sh, -c, 'echo before the stop > /proc/1/fd/1']}]
  terminal:
    image: upall-test/busybox:1
    tty: true
    command: [sh, -c, 'echo one; echo two; sleep 1000']
    stop_signal: KILL
  unlogged:
    image: upall-test/busybox:1
    logging: {driver: none}
    restart: "on-failure:1"
    command: [sh, -c, 'echo gone; sleep 0.2; exit 4']
secrets:
  word: {environment: UPALL_TEST_WORD}
`

// aRuntime is a Runtime of runtimeFile with what it has told.
type aRuntime struct {
	*testing.T
	*Runtime
	mu   sync.Mutex
	told []Line
}

// run makes the Runtime as a process in the background does, from text.
func run(t *testing.T, c Config) *aRuntime {
	t.Helper()
	r := &aRuntime{T: t}
	c.Project = handedOn(t, c.Project)
	c.Output = func(l Line) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.told = append(r.told, l)
	}
	var err error
	if r.Runtime, err = NewRuntime(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// texts are the lines that an instance has written, by stream.
func (r *aRuntime) texts(instance string) (texts []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.told {
		if l.Instance == instance {
			texts = append(texts, l.Stream+": "+strings.TrimSuffix(l.Text, "\r"))
		}
	}
	slices.Sort(texts) // streams come apart from each other
	return texts
}

// writes waits until an instance has written just that.
func (r *aRuntime) writes(instance string, want ...string) {
	r.Helper()
	testenv.Eventually(r.T, watchLimit, func() error {
		if diff := cmp.Diff(want, r.texts(instance)); diff != "" {
			return fmt.Errorf("the output of %s: %s", instance, diff)
		}
		return nil
	})
}

func (r *aRuntime) start(instances ...string) {
	r.Helper()
	var mu sync.Mutex
	var started []string
	failed, err := r.Start(r.Context(), instances, func(instance string) {
		mu.Lock()
		defer mu.Unlock()
		started = append(started, instance)
	})
	slices.Sort(started)
	if err != nil || len(failed) > 0 || !slices.Equal(started, instances) {
		r.Fatalf("started %q, want %q: %v, %v", started, instances, failed, err)
	}
}

// runs checks which instances run.
func (r *aRuntime) runs(want ...string) map[string]Details {
	r.Helper()
	running, err := r.Running(r.Context())
	if err != nil {
		r.Fatal(err)
	}
	if got := slices.Sorted(maps.Keys(running)); !slices.Equal(got, want) {
		r.Errorf("%q run, want %q", got, want)
	}
	return running
}

// TestRuntime starts, restarts and stops single instances, and reads what they
// have written.
func TestRuntime(t *testing.T) {
	t.Setenv("UPALL_TEST_WORD", "$secret\n${HOME}")
	for _, engine := range testenv.NeedEngines(t) {
		t.Run(engineName(engine.Host), func(t *testing.T) {
			testenv.NeedImages(t, engine, "busybox")
			e := openEngine(t, engine.Host)
			w, c := create(t, e, "runtime", runtimeFile)
			r := run(t, c)
			r.start("pair-1", "pair-2", "terminal-1", "unlogged-1")
			out := []string{"stderr: wrong", "stdout: $secret", "stdout: ${HOME}", "stdout: after the start: $x y"}
			r.writes("pair-1", out...)
			r.writes("pair-2", out...)
			r.writes("terminal-1", "stdout: one", "stdout: two")
			checkUnlogged(r)
			before := r.runs("pair-1", "pair-2", "terminal-1")
			checkSingle(r, before, out)
			checkLogs(r)
			checkReconciled(r, c, w)
		})
	}
}

// checkUnlogged: it is told of too what no log keeps.
func checkUnlogged(r *aRuntime) {
	r.Helper()
	testenv.Eventually(r.T, watchLimit, func() error {
		d, err := r.Details(r.Context(), "unlogged-1")
		if err != nil || d.State != "exited" || d.Restarts != 1 {
			return fmt.Errorf("%+v, %w", d, err)
		}
		if d.Code != 4 || d.PID != 0 || d.Started.IsZero() || d.Finished.Before(d.Started) {
			r.Errorf("its details are %+v", d)
		}
		return nil
	})
	r.writes("unlogged-1", "stdout: gone") // nobody watches, who would tell of the second run
	if err := r.Logs(r.Context(), LogQuery{Instances: []string{"unlogged-1"}, Tail: AllLines}, func(Line) error { return nil }); err == nil {
		r.Error("there is a log of a container without one")
	}
}

// checkSingle stops, starts and restarts one of two.
func checkSingle(r *aRuntime, before map[string]Details, out []string) {
	r.Helper()
	zero := time.Duration(0)
	if err := r.Stop(r.Context(), []string{"pair-2"}, &zero); err != nil {
		r.Fatal(err)
	}
	r.runs("pair-1", "terminal-1")
	if codes, err := r.Over(r.Context()); err != nil || !maps.Equal(codes, map[string]int{"pair-2": 137, "unlogged-1": 4}) {
		r.Errorf("over are %v (%v)", codes, err)
	}
	once := append(slices.Clone(out), "stdout: before the stop")
	r.writes("pair-2", once...)
	r.start("pair-2")
	twice := slices.Sorted(slices.Values(append(slices.Clone(once), out...)))
	r.writes("pair-2", twice...)
	if err := r.Restart(r.Context(), []string{"pair-1"}, &zero); err != nil {
		r.Fatal(err)
	}
	after := r.runs("pair-1", "pair-2", "terminal-1")
	if !after["pair-1"].Started.After(before["pair-1"].Started) || after["pair-1"].ID != before["pair-1"].ID {
		r.Errorf("restarted is %+v, which was %+v", after["pair-1"], before["pair-1"])
	}
	if !after["terminal-1"].Started.Equal(before["terminal-1"].Started) {
		r.Error("another was restarted too")
	}
	if _, err := r.Details(r.Context(), "none-1"); err == nil {
		r.Error("there are details of what is not there")
	}
}

// checkLogs asks for lines that were written.
func checkLogs(r *aRuntime) {
	r.Helper()
	var all []Line
	err := r.Logs(r.Context(), LogQuery{Instances: []string{"pair-1", "pair-2", "terminal-1"}, Tail: AllLines}, func(l Line) error {
		all = append(all, l)
		return nil
	})
	if err != nil || len(all) != 9+9+2 {
		r.Fatalf("%d lines (%v): %+v", len(all), err, all)
	}
	for n := range all[1:] {
		if all[n+1].At.Before(all[n].At) && all[n+1].Instance != all[n].Instance {
			r.Errorf("%+v comes after %+v", all[n+1], all[n])
		}
	}
	var some []string
	middle := all[len(all)/2].At
	for _, q := range []LogQuery{
		{Instances: []string{"terminal-1"}, Tail: 1},
		{Instances: []string{"terminal-1"}},
		{Instances: []string{"pair-1", "pair-2"}, Tail: AllLines, Since: middle},
		{Instances: []string{"pair-1", "pair-2"}, Tail: AllLines, Until: middle.Add(-1)},
	} {
		count := 0
		if err := r.Logs(r.Context(), q, func(Line) error { count++; return nil }); err != nil {
			r.Fatal(err)
		}
		some = append(some, fmt.Sprint(count))
	}
	before := 0
	for _, l := range all {
		if l.Service == "pair" && l.At.Before(middle) {
			before++
		}
	}
	if want := []string{"1", "0", fmt.Sprint(18 - before), fmt.Sprint(before)}; !slices.Equal(some, want) {
		r.Errorf("got %q lines, want %q", some, want)
	}
	enough := errors.New("enough")
	if err := r.Logs(r.Context(), LogQuery{Tail: AllLines, Instances: []string{"pair-1"}, Follow: true}, func(Line) error { return enough }); !errors.Is(err, enough) {
		r.Errorf("ended with %v", err)
	}
}

// checkReconciled creates what is there, and what is there without a service.
func checkReconciled(r *aRuntime, c Config, w watch) {
	r.Helper()
	before := r.runs("pair-1", "pair-2", "terminal-1")
	if err := Create(r.Context(), c, CreateOptions{}); err != nil {
		r.Fatal(err)
	}
	for instance, d := range r.runs("pair-1", "pair-2", "terminal-1") {
		if d != before[instance] {
			r.Errorf("%s was %+v and is %+v", instance, before[instance], d)
		}
	}
	less := strings.Replace(runtimeFile, "  terminal:", "  other:", 1)
	w.File = filepath.Join(r.TempDir(), "compose.yaml")
	if err := os.WriteFile(w.File, []byte(less), 0o600); err != nil {
		r.Fatal(err)
	}
	other, err := planFile(r.Context(), c.Engine, w)
	if err != nil {
		r.Fatal(err)
	}
	if err := Create(r.Context(), other, CreateOptions{}); err != nil {
		r.Fatal(err)
	}
	if err := r.Apply(r.Context(), other.Project, other.Plan, nil); err != nil {
		r.Fatal(err)
	}
	r.runs("pair-1", "pair-2", "terminal-1") // what the others know still holds
	r.start("other-1")
	zero := time.Duration(0)
	if err := r.Stop(r.Context(), []string{"other-1", "terminal-1"}, &zero); err != nil {
		r.Fatal(err)
	}
	r.runs("pair-1", "pair-2")
	query, written, followed := LogQuery{Instances: []string{"other-1", "pair-1"}, Tail: AllLines}, 0, 0
	if err := r.Logs(r.Context(), query, func(Line) error { written++; return nil }); err != nil {
		r.Fatal(err)
	}
	query.Follow = true
	err = r.Logs(r.Context(), query, func(Line) error {
		if followed++; followed == written {
			return r.Kill(r.Context(), "pair-1")
		}
		return nil
	})
	if err != nil || followed != written {
		r.Errorf("followed %d lines of %d until %v", followed, written, err)
	}
}

// A log that is sent away can be read as far as the engine keeps a copy.
func TestIsReadable(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		ofEngine, logging string
		want              bool
	}{
		{"json-file", "", true},
		{"none", "", false},
		{"none", "{driver: local}", true},
		{"local", "{driver: none}", false},
		{"journald", "{options: {tag: x}}", true},
		{"json-file", "{driver: syslog}", true},
		{"json-file", "{driver: syslog, options: {cache-disabled: 'true'}}", false},
		{"syslog", "{options: {cache-disabled: 'true'}}", false},
		{"json-file", "{options: {cache-disabled: 'true'}}", true},
	} {
		file := filepath.Join(t.TempDir(), "compose.yaml")
		text := "services: {a: {image: i}}"
		if test.logging != "" {
			text = "services: {a: {image: i, logging: " + test.logging + "}}"
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		project, err := compose.Load(t.Context(), compose.Options{Files: []string{file}})
		if err != nil {
			t.Fatal(err)
		}
		e := &Engine{}
		e.info.Info.LoggingDriver = test.ofEngine
		p := &present{planned: planned{Config: Config{Engine: e}, project: project}}
		if got := p.isReadable(ref{service: "a"}); got != test.want {
			t.Errorf("an engine of %s, %q: %v", test.ofEngine, test.logging, got)
		}
	}
}
