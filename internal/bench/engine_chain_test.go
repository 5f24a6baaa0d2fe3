package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/compose/v5/pkg/api"

	"upall/internal/testenv"
)

const (
	chainCount    = 5
	chainRounds   = 3
	chainInterval = "5s" // of the healthchecks; Docker's own default is 30s
)

// BenchmarkEngineChain brings up services of which each needs the one before to be
// healthy, and waits for all: by upall up --wait, and by Compose's Up with Wait.
func BenchmarkEngineChain(b *testing.B) {
	engine := testenv.NeedEngine(b)
	testenv.NeedImages(b, engine, "busybox")
	upall := &engineProject{b, engineName(), chainFolder(b)}
	b.Cleanup(func() { upall.run(context.Background(), "down", "-t", "0") })
	up := &composeProject{b, engineName(), chainFolder(b)}
	b.Cleanup(func() { up.take(context.Background(), up.doDown) })
	var ours, theirs []float64
	for b.Loop() {
		for range chainRounds {
			ours = append(ours, float64(upall.upall("up", "-d", "--wait"))/millisecond)
			upall.upall("down", "-t", "0")
			theirs = append(theirs, float64(up.wait())/millisecond)
			up.down()
		}
	}
	b.ReportMetric(0, "ns/op") // of all rounds: says nothing
	b.ReportMetric(median(ours), "upall-ms")
	b.ReportMetric(median(theirs), "compose-up-ms")
	b.ReportMetric(median(ours)/median(theirs), "upall/compose-up")
}

// wait is up --wait.
func (p *composeProject) wait() time.Duration {
	return p.take(p.b.Context(), func(ctx context.Context, compose api.Compose, project *types.Project) error {
		return compose.Up(ctx, project, api.UpOptions{Create: composeCreate, Start: api.StartOptions{Project: project, Wait: true}})
	})
}

// chainFolder is a folder with the file of such a project.
func chainFolder(b *testing.B) string {
	b.Helper()
	const serve = "exec httpd -f -p 7000 -h /etc"
	var file strings.Builder
	file.WriteString("services:\n")
	for n := range chainCount {
		command, needs := serve, ""
		if n > 0 {
			command = fmt.Sprintf("wget -q -O /dev/null http://s%d:7000/passwd && %s", n-1, serve)
			needs = fmt.Sprintf(", depends_on: {s%d: {condition: service_healthy}}", n-1)
		}
		fmt.Fprintf(&file, "  s%d: {image: \"upall-test/busybox:1\", init: true, expose: [\"7000\"], command: [sh, -c, %q]", n, command)
		fmt.Fprintf(&file, ", healthcheck: {test: [CMD, wget, -q, -O, /dev/null, \"http://localhost:7000/passwd\"], interval: %s}%s}\n", chainInterval, needs)
	}
	folder := b.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "compose.yaml"), []byte(file.String()), 0o600); err != nil {
		b.Fatal(err)
	}
	return folder
}
