package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"upall/internal/testenv"
)

// runtime is how the services of a test run, which are written as processes, one a line.
type runtime struct {
	user    testenv.User
	engine  *testenv.Engine     // nil: none of them is a container
	isBoxed func(line int) bool // which are
}

// everyRuntime runs a test with services as processes of root and of an ordinary
// user, in containers of each engine, and in both.
func everyRuntime(t *testing.T, test func(t *testing.T, w runtime)) {
	users(t, func(t *testing.T, user testenv.User) { test(t, runtime{user: user}) })
	t.Run("containers", func(t *testing.T) {
		forEngines(t, func(t *testing.T, e testenv.Engine) { test(t, boxed(t, e)) })
	})
	t.Run("mixed", func(t *testing.T) {
		e := oneEngine(t)
		test(t, runtime{root(t), &e, func(line int) bool { return line%2 == 0 }})
	})
}

// eachRuntime runs a test with services as processes of root and of an ordinary
// user, and in containers of one engine.
func eachRuntime(t *testing.T, test func(t *testing.T, w runtime)) {
	users(t, func(t *testing.T, user testenv.User) { test(t, runtime{user: user}) })
	t.Run("containers", func(t *testing.T) { test(t, boxed(t, oneEngine(t))) })
}

// oneEngine is the last that is named: the newest.
func oneEngine(t *testing.T) testenv.Engine {
	t.Helper()
	testenv.NeedRoot(t)
	testenv.NeedNFQueue(t)
	engines := testenv.NeedEngines(t)
	e := engines[len(engines)-1]
	testenv.NeedImages(t, e, "busybox")
	return e
}

func boxed(t *testing.T, e testenv.Engine) runtime {
	t.Helper()
	testenv.NeedImages(t, e, "python")
	return runtime{root(t), &e, func(int) bool { return true }}
}

// project makes one of services.
func (w runtime) project(t *testing.T, services string) *project {
	t.Helper()
	p := emptyProject(t, w.user)
	if w.engine != nil {
		podIn(p, *w.engine)
	}
	w.write(p, services)
	return p
}

// write writes the project's file.
func (w runtime) write(p *project, services string) {
	p.t.Helper()
	if w.engine == nil {
		p.write("compose.yaml", p.expand("x-upall: {runtime: process}\nservices:"+services))
		return
	}
	p.write("compose.yaml", p.expand("services:"+inBoxes(services, w.isBoxed)))
}

// inBoxes turns services that are written as processes into containers, but those
// of the lines that are not boxed.
func inBoxes(services string, isBoxed func(line int) bool) string {
	var b strings.Builder
	line := -1
	for text := range strings.Lines(services) {
		line++
		if !strings.Contains(text, "{command:") || !isBoxed(line) {
			b.WriteString(strings.Replace(text, "{command:", "{x-upall: {runtime: process}, command:", 1))
			continue
		}
		image := "busybox"
		if strings.Contains(text, "python3") {
			image = "python"
		}
		text = strings.NewReplacer("TOOLS", "/tools", "HERE", "/here").Replace(text)
		b.WriteString(strings.Replace(text, "{command:", `{image: "upall-test/`+image+`:1", stop_grace_period: 1s, volumes: ["TOOLS:/tools:ro", "HERE:/here"], command:`, 1))
	}
	return b.String()
}

// connect is one that a load client has measured.
type connect struct {
	began time.Time
	took  time.Duration
}

// connects reads what the load client of the name has measured so far.
func (p *project) connects(name string) (all []connect) {
	p.t.Helper()
	file, err := os.Open(filepath.Join(p.folder, name+".times"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it has not started
	}
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = file.Close() }() // only read
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var began, took int64
		if _, err := fmt.Sscan(lines.Text(), &began, &took); err != nil {
			break // it is just being written
		}
		all = append(all, connect{time.UnixMicro(began), time.Duration(took) * time.Microsecond})
	}
	return all
}

// haveConnected waits until load clients have connected so many times.
func (p *project) haveConnected(times map[string]int) {
	p.t.Helper()
	testenv.Eventually(p.t, patience, func() error {
		for name, want := range times {
			if got := len(p.connects(name)); got < want {
				return fmt.Errorf("%s has connected %d times, want %d", name, got, want)
			}
		}
		return nil
	})
}

// around returns how long the connects since then took that came to a crash, or
// while the supervisor was not there.
func around(all []connect, since time.Time, crashes []crash) (delays []time.Duration) {
	for _, c := range all {
		if c.began.After(since) && slices.ContainsFunc(crashes, func(x crash) bool {
			return c.began.Before(x.answered) && c.began.Add(c.took).After(x.killed)
		}) {
			delays = append(delays, c.took)
		}
	}
	slices.Sort(delays)
	return delays
}

// p99 of sorted durations; the greatest of less than a hundred.
func p99(sorted []time.Duration) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)*99/100, len(sorted)-1)]
}

func summary(sorted []time.Duration) string {
	if len(sorted) == 0 {
		return "none"
	}
	at := func(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }
	return fmt.Sprintf("%d: median %v, p99 %v, most %v", len(sorted), at(sorted[len(sorted)/2]), at(p99(sorted)), at(sorted[len(sorted)-1]))
}
