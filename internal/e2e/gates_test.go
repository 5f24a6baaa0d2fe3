package e2e

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"upall/internal/event"
	"upall/internal/testenv"
)

// forRuntimes runs a test with processes, and with containers on one of the engines. In
// its services BOX stands for what runs them, BOXT and BOXH for the same with only
// the test programs in /tools, and only the project's folder in /here: two that
// mount the same files are ordered by that. BOXP is BOXT without a grace period.
func forRuntimes(t *testing.T, test func(t *testing.T, newGates func(services string) *pod)) {
	t.Run("processes", func(t *testing.T) {
		t.Parallel()
		test(t, func(services string) *pod { return processPod(t, root(t), services) })
	})
	t.Run("containers", func(t *testing.T) {
		t.Parallel()
		forAnEngine(t, func(t *testing.T, e testenv.Engine) {
			test(t, func(services string) *pod {
				return newPod(t, e, strings.NewReplacer(
					"BOXP", `image: "upall-test/busybox:1", volumes: ["TOOLS:/tools:ro"]`,
					"BOXT", `BOX2, volumes: ["TOOLS:/tools:ro"]`, "BOXH", `BOX2, volumes: ["HERE:/here"]`,
				).Replace(services))
			})
		})
	})
}

// processPod has the services of forRuntimes as processes.
func processPod(t *testing.T, user testenv.User, services string) *pod {
	t.Helper()
	p := &pod{project: emptyProject(t, user)}
	file := strings.NewReplacer("BOXP", "attach: true", "BOXT", "BOX", "BOXH", "BOX", "/tools/", "TOOLS/", "/here/", "HERE/").Replace(services)
	file = strings.ReplaceAll(file, "BOX", "stop_grace_period: 1s")
	p.write("compose.yaml", p.expand("x-upall: {runtime: process}\nservices:\n"+file))
	t.Cleanup(func() {
		if out, err := afterTest(p.command("down", "-t", "0")).CombinedOutput(); err != nil {
			t.Errorf("take the project down: %v\n%s", err, out)
		}
		p.nothingLeft(stopPatience)
	})
	return p
}

func (p *pod) isProcesses() bool { return p.engine.Host == "" }

// gatesView is what the control API says of a project of root.
type gatesView struct {
	Instances []struct {
		Service   string
		Instance  string
		State     event.State
		Ready     bool
		Started   time.Time
		Health    string
		HealthLog []struct {
			Code   int
			Output string
		} `json:"health_log"`
		Restarts  int
		RestartAt time.Time `json:"restart_at"`
	}
}

func (p *pod) view() (s gatesView) {
	p.t.Helper()
	path := filepath.Join("/run/upall", p.name, "private", "control.sock")
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, "http://upall/v1/project", nil)
	if err != nil {
		p.t.Fatal(err)
	}
	answer, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		p.t.Fatalf("ask for the snapshot: %v", err)
	}
	defer func() { _ = answer.Body.Close() }() // it was only read
	if err := json.NewDecoder(answer.Body).Decode(&s); err != nil {
		p.t.Fatalf("read the snapshot: %v", err)
	}
	return s
}

func warnsOf(text string) match {
	return func(e event.Event) bool { return e.Type == event.Warning && strings.Contains(e.Message, text) }
}

// before fails the test unless one event came before another.
func (r *run) before(first, second string, isFirst, isSecond match) {
	r.t.Helper()
	events := r.all(func(event.Event) bool { return true })
	a, b := slices.IndexFunc(events, isFirst), slices.IndexFunc(events, isSecond)
	if a < 0 || b < 0 || a > b {
		r.t.Errorf("%s came as event %d, %s as event %d: want the first one before", first, a, second, b)
	}
}

// printed is what upall wrote to stdout and stderr.
func (r *run) printed() string {
	r.t.Helper()
	text, err := os.ReadFile(r.stdout)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(text) + r.errorText()
}
