package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container" //nolint:depguard // bare starts have no runtime of ours between them and the engine
	"github.com/moby/moby/client"              //nolint:depguard // as above

	"upall/internal/event"
	"upall/internal/testenv"
)

// containerImage serves at once.
const containerImage = "upall-test/static:1"

// engineName is a name that nothing else of the engine has.
func engineName() string {
	return fmt.Sprintf("upall-bench-%d-%d", os.Getpid(), projectNumber.Add(1))
}

// bare is containers on a network, of which nobody knows but the engine.
type bare struct {
	b   *testing.B
	on  *client.Client
	ids []string
}

func newBare(b *testing.B) *bare {
	b.Helper()
	testenv.NeedEngine(b)
	on, err := client.New(client.FromEnv)
	if err != nil {
		b.Fatal(err)
	}
	s, network := &bare{b: b, on: on}, engineName()
	b.Cleanup(func() { s.remove(network) })
	if _, err := on.NetworkCreate(b.Context(), network, client.NetworkCreateOptions{Driver: "bridge"}); err != nil {
		b.Fatal(err)
	}
	for range containerCount {
		created, err := on.ContainerCreate(b.Context(), client.ContainerCreateOptions{
			Config:     &container.Config{Image: containerImage},
			HostConfig: &container.HostConfig{NetworkMode: container.NetworkMode(network)},
		})
		if err != nil {
			b.Fatal(err)
		}
		s.ids = append(s.ids, created.ID)
	}
	return s
}

// start returns the time from the first call to the last answer.
func (s *bare) start() time.Duration {
	begin := time.Now()
	s.each(s.b.Context(), func(ctx context.Context, id string) error {
		_, err := s.on.ContainerStart(ctx, id, client.ContainerStartOptions{})
		return err
	})
	return time.Since(begin)
}

func (s *bare) stop() {
	s.each(s.b.Context(), func(ctx context.Context, id string) error {
		_, err := s.on.ContainerStop(ctx, id, client.ContainerStopOptions{Timeout: new(int)})
		return err
	})
}

// each does the same with all containers at once.
func (s *bare) each(ctx context.Context, do func(ctx context.Context, id string) error) {
	s.b.Helper()
	errs := make([]error, len(s.ids))
	var calls sync.WaitGroup
	for n, id := range s.ids {
		calls.Go(func() { errs[n] = do(ctx, id) })
	}
	calls.Wait()
	if err := errors.Join(errs...); err != nil {
		s.b.Fatal(err)
	}
}

func (s *bare) remove(network string) {
	ctx := context.Background() // the benchmark's own is over
	s.each(ctx, func(ctx context.Context, id string) error {
		_, err := s.on.ContainerRemove(ctx, id, client.ContainerRemoveOptions{Force: true})
		return err
	})
	_, err := s.on.NetworkRemove(ctx, network, client.NetworkRemoveOptions{})
	if err := errors.Join(err, s.on.Close()); err != nil {
		s.b.Error(err)
	}
}

// engineFolder is a folder with the file of a project of so many such containers.
func engineFolder(b *testing.B, containers int) string {
	b.Helper()
	var file strings.Builder
	file.WriteString("services:\n")
	for i := range containers {
		fmt.Fprintf(&file, "  s%d: {image: %q}\n", i, containerImage)
	}
	folder := b.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "compose.yaml"), []byte(file.String()), 0o600); err != nil {
		b.Fatal(err)
	}
	return folder
}

// engineProject is a project of containers that upall brings up.
type engineProject struct {
	b            *testing.B
	name, folder string
}

func newEngineProject(b *testing.B, containers int) *engineProject {
	b.Helper()
	testenv.NeedEngine(b)
	p := &engineProject{b, engineName(), engineFolder(b, containers)}
	b.Cleanup(func() { p.run(context.Background(), "down", "-v", "-t", "0") })
	return p
}

// upall runs a command to its end and returns how long it took.
func (p *engineProject) upall(args ...string) time.Duration {
	p.b.Helper()
	return p.run(p.b.Context(), args...)
}

func (p *engineProject) run(ctx context.Context, args ...string) time.Duration {
	p.b.Helper()
	cmd := exec.CommandContext(ctx, filepath.Join(tools, "upall"), append([]string{"-p", p.name}, args...)...)
	cmd.Dir = p.folder
	// A file, not a pipe: what stays in the background would keep that open.
	out, err := os.Create(filepath.Join(p.folder, "output"))
	if err != nil {
		p.b.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = out, out
	begin := time.Now()
	err = cmd.Run()
	took := time.Since(begin)
	if err = errors.Join(err, out.Close()); err != nil {
		said, _ := os.ReadFile(out.Name()) // for the reader's sake
		p.b.Fatalf("upall %v: %v\n%s", args, err, said)
	}
	return took
}

// up returns the time of the whole command and that of its start phase.
func (p *engineProject) up() (whole, startPhase time.Duration) {
	p.b.Helper()
	events := filepath.Join(p.b.TempDir(), "events")
	whole = p.upall("up", "-d", "--events", events)
	return whole, startPhaseOf(p.b, events)
}

// startPhaseOf is the time from the first container that upall starts to the
// last that runs.
func startPhaseOf(b *testing.B, events string) time.Duration {
	b.Helper()
	record, err := os.ReadFile(events)
	if err != nil {
		b.Fatal(err)
	}
	var first, last time.Time
	for line := range bytes.Lines(record) {
		var e event.Event
		if err := json.Unmarshal(line, &e); err != nil {
			b.Fatal(err)
		}
		switch {
		case e.Type == event.StateChanged && e.State == event.Starting && first.IsZero():
			first = e.Time
		case e.Type == event.Started:
			last = e.Time
		}
	}
	if first.IsZero() || last.Before(first) {
		b.Fatalf("no start phase in the events: from %v to %v", first, last)
	}
	return last.Sub(first)
}
