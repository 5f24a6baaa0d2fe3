package engine

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/client"

	"upall/compose"
	"upall/internal/testenv"
)

// watcherVariable makes the test's executable a watcher: it has the watch as JSON.
const watcherVariable = "UPALL_TEST_WATCHER"

// watch is what a process that watches is told.
type watch struct {
	File, Project, Directory string
	Starts                   bool      // it starts the containers, and does not take over
	Since                    time.Time // the time of the last event that was told
}

// report is a line of what a watcher has seen.
type report struct {
	Event string // began, ended, or "" of a line
	Code  int
	Then  Then
	Line
}

// runWatcher is such a process; it is killed.
func runWatcher(text string) error {
	var w watch
	if err := json.Unmarshal([]byte(text), &w); err != nil {
		return err
	}
	ctx := context.Background()
	e, err := Open(ctx, Streams{In: os.Stdin, Out: io.Discard, Err: os.Stderr})
	if err != nil {
		return err
	}
	c, err := planFile(ctx, e, w)
	if err != nil {
		return err
	}
	say := func(r report) {
		text, _ := json.Marshal(r)
		_, _ = os.Stdout.Write(append(text, '\n')) // at once, so that a kill cuts no line
	}
	c.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
	c.Output = func(l Line) { say(report{Line: l}) }
	r, err := NewRuntime(ctx, c)
	if err != nil {
		return err
	}
	if w.Starts {
		names := []string{}
		for _, s := range c.Plan.Services {
			names = append(names, s.Instances[0].Name)
		}
		if failed, err := r.Start(ctx, names, func(string) {}); err != nil || len(failed) > 0 {
			return fmt.Errorf("start: %w, %v", err, failed)
		}
	}
	r.Watch(ctx, w.Since, func(what any) {
		switch what := what.(type) {
		case Began:
			say(report{Event: "began", Line: Line{Instance: what.Instance, At: what.At}})
		case Ended:
			say(report{Event: "ended", Code: what.Code, Then: what.Then, Line: Line{Instance: what.Instance, At: what.At}})
		}
	})
	return nil
}

// planFile loads and plans a file.
func planFile(ctx context.Context, e *Engine, w watch) (Config, error) {
	c := Config{Engine: e, Directory: w.Directory, Logger: slog.New(slog.DiscardHandler)}
	var err error
	if c.Project, err = compose.Load(ctx, compose.Options{Files: []string{w.File}, Name: w.Project}); err != nil {
		return c, err
	}
	var options compose.PlanOptions
	if err := e.Survey(ctx, w.Project, &options); err != nil {
		return c, err
	}
	c.Plan, err = compose.NewPlan(c.Project, options)
	return c, err
}

// create makes the containers of a compose file, until the test ends.
func create(t *testing.T, e *Engine, name, text string) (watch, Config) {
	t.Helper()
	w := watch{
		File: filepath.Join(t.TempDir(), "compose.yaml"), Project: fmt.Sprintf("upall-h-eng-%s-%d", name, os.Getpid()), Directory: t.TempDir(),
	}
	if err := os.WriteFile(w.File, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { removeProject(t, e, w.Project) })
	c, err := planFile(t.Context(), e, w)
	if err != nil {
		t.Fatal(err)
	}
	if err := Create(t.Context(), c, CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	return w, c
}

// watchLimit is how long a watcher may take to say what is expected.
const watchLimit = 30 * time.Second

// watching is a watcher that runs.
type watching struct {
	*testing.T
	cmd     *exec.Cmd
	reports *bufio.Scanner
}

func (w watch) begin(t *testing.T) *watching {
	t.Helper()
	text, err := json.Marshal(w)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), watchLimit)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Env = append(os.Environ(), watcherVariable+"="+string(text))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return &watching{T: t, cmd: cmd, reports: bufio.NewScanner(out)}
}

// until reads reports until one is right.
func (w *watching) until(isLast func(report) bool) (all []report) {
	w.Helper()
	for w.reports.Scan() {
		var r report
		if err := json.Unmarshal(w.reports.Bytes(), &r); err != nil {
			w.Fatalf("%v in %q", err, w.reports.Text())
		}
		all = append(all, r)
		if isLast(r) {
			return all
		}
	}
	return all
}

// kill returns what the watcher had said until it was dead.
func (w *watching) kill() []report {
	w.Helper()
	if err := w.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		w.Fatal(err)
	}
	rest := w.until(func(report) bool { return false })
	_, isExit := errors.AsType[*exec.ExitError](w.cmd.Wait())
	if !isExit {
		w.Error("the watcher was not killed")
	}
	return rest
}

const takeoverFile = `
services:
  counts:
    image: upall-test/busybox:1
    stop_signal: KILL
    command: [sh, -c, 'n=0; while true; do echo $$((n=n+1)); usleep 2000; done']
  returns:
    image: upall-test/busybox:1
    restart: always
    command: [sh, -c, 'echo here; usleep 50000; exit 3']
  ends:
    image: upall-test/busybox:1
    command: [sh, -c, 'sleep 1; exit 5']
`

// TestTakeover: processes that watch are killed one after the other. Together
// they tell of each end once and in order, and give each line that a container
// has written; at most the one that was being told at a kill comes twice.
func TestTakeover(t *testing.T) {
	for _, engine := range testenv.NeedEngines(t) {
		t.Run(engineName(engine.Host), func(t *testing.T) {
			testenv.NeedImages(t, engine, "busybox")
			e := openEngine(t, engine.Host)
			w, c := create(t, e, "takeover", takeoverFile)
			begin := time.Now()
			w.Starts, w.Since = true, begin
			const kills = 6
			var all []report
			for range kills {
				more := 20 + rand.IntN(200)
				process := w.begin(t)
				all = append(all, process.until(func(r report) bool {
					if r.Event == "" {
						more--
					}
					return more <= 0
				})...)
				all = append(all, process.kill()...)
				w.Starts, w.Since = false, newest(all, begin)
			}
			runtime, err := NewRuntime(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			defer runtime.Close()
			zero := time.Duration(0)
			if err := runtime.Stop(t.Context(), []string{"counts-1", "returns-1"}, &zero); err != nil {
				t.Fatal(err)
			}
			testenv.Eventually(t, watchLimit, func() error { // the engine notes an end after the stop
				if starts, dies := len(noted(t, e, w.Project, begin, events.ActionStart)), len(noted(t, e, w.Project, begin, events.ActionDie)); starts != dies {
					return fmt.Errorf("%d starts and %d ends", starts, dies)
				}
				return nil
			})
			ended, logged := noted(t, e, w.Project, begin, events.ActionDie), lastLogged(t, runtime)
			process := w.begin(t) // when nothing runs any more
			missing := len(ended) - len(ends(all))
			last := numbers(t, all)
			all = append(all, process.until(func(r report) bool {
				if r.Event == "ended" {
					missing--
				}
				if r.Event == "" && r.Instance == "counts-1" {
					last = append(last, number(t, r))
				}
				return missing == 0 && last[len(last)-1] == logged
			})...)
			all = append(all, process.kill()...)
			checkEvents(t, ended, all)
			checkCount(t, numbers(t, all), logged, kills)
		})
	}
}

// newest is the time of the newest event that was told, or begin.
func newest(all []report, begin time.Time) time.Time {
	for _, r := range all {
		if r.Event != "" && r.At.After(begin) {
			begin = r.At
		}
	}
	return begin
}

// ends are those of containers that were told.
func ends(all []report) (texts []string) {
	for _, r := range all {
		if r.Event == "ended" {
			texts = append(texts, fmt.Sprintf("%s %d %d", r.Instance, r.At.UnixNano(), r.Code))
		}
	}
	return texts
}

// noted are the starts or ends of containers that the engine has noted.
func noted(t *testing.T, e *Engine, project string, since time.Time, action events.Action) (texts []string) {
	t.Helper()
	result := e.api.Events(t.Context(), client.EventsListOptions{
		Since: stamp(since), Until: stamp(time.Now()),
		Filters: make(client.Filters).Add("event", string(action)).Add("label", "com.docker.compose.project="+project),
	})
	for {
		select {
		case m := <-result.Messages:
			c, _ := newRef(m.Actor.ID, m.Actor.Attributes)
			texts = append(texts, fmt.Sprintf("%s %d %s", c.instance, m.TimeNano, m.Actor.Attributes["exitCode"]))
		case err := <-result.Err:
			if !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			return texts
		}
	}
}

// checkEvents: begins and ends take turns, and the ends are the engine's.
func checkEvents(t *testing.T, want []string, all []report) {
	t.Helper()
	runs := map[string]bool{}
	for _, r := range all {
		if r.Event == "" {
			continue
		}
		if begins := r.Event == "began"; begins == runs[r.Instance] {
			t.Errorf("%s %s twice", r.Instance, r.Event)
		}
		runs[r.Instance] = r.Event == "began"
		if r.Instance == "ends-1" && r.Event == "ended" && (r.Code != 5 || r.Then != Over) {
			t.Errorf("ends-1 ended with %d, %d", r.Code, r.Then)
		}
	}
	if diff := cmp.Diff(want, ends(all)); diff != "" {
		t.Errorf("ends of containers (- the engine's, + ours):\n%s", diff)
	}
}

// numbers are the lines of the one that counts.
func numbers(t *testing.T, all []report) (numbers []int) {
	t.Helper()
	for _, r := range all {
		if r.Event == "" && r.Instance == "counts-1" {
			numbers = append(numbers, number(t, r))
		}
	}
	return numbers
}

func number(t *testing.T, r report) int {
	t.Helper()
	n, err := strconv.Atoi(r.Text)
	if err != nil || r.At.IsZero() {
		t.Errorf("line %q of %v: %v", r.Text, r.At, err)
	}
	return n
}

// lastLogged is the newest number that the engine has.
func lastLogged(t *testing.T, r *Runtime) (last int) {
	t.Helper()
	err := r.Logs(t.Context(), LogQuery{Instances: []string{"counts-1"}, Tail: 1}, func(l Line) error {
		var err error
		last, err = strconv.Atoi(l.Text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return last
}

// checkCount: no line is missing, and few come twice.
func checkCount(t *testing.T, numbers []int, logged, kills int) {
	t.Helper()
	last, twice := 0, 0
	for _, n := range numbers {
		switch n {
		case last + 1:
		case last:
			twice++
		default:
			t.Errorf("line %d comes after line %d", n, last)
		}
		last = n
	}
	if last != logged || twice > kills {
		t.Errorf("%d lines were told, %d of them twice, over %d kills; the engine has %d", last, twice, kills, logged)
	}
}
