package engine

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"upall/compose"
	"upall/internal/testenv"
	"upall/supervisor/health"
)

const (
	probed      = "upall-h-probe"       // the container of these tests
	probedImage = "upall-h-probe:image" // an image with a healthcheck
	busybox     = "upall-test/busybox:1"
)

// newProbed starts a container and returns a Runtime that has it as an instance.
func newProbed(t *testing.T, e *Engine, config container.Config) *Runtime {
	t.Helper()
	removeProbed(t, e)
	t.Cleanup(func() { removeProbed(t, e) })
	config.Cmd = []string{"sleep", "1000"}
	isInit := true // it reaps what probes leave behind
	created, err := e.api.ContainerCreate(t.Context(), client.ContainerCreateOptions{
		Name: probed, Config: &config, HostConfig: &container.HostConfig{Init: &isInit, NetworkMode: "none"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.api.ContainerStart(t.Context(), created.ID, client.ContainerStartOptions{}); err != nil {
		t.Fatal(err)
	}
	r := &Runtime{Config: Config{Engine: e}}
	r.present.Store(&present{refs: map[string]ref{"web-1": {id: created.ID, instance: "web-1"}}})
	return r
}

func removeProbed(t *testing.T, e *Engine) {
	t.Helper()
	_, err := e.api.ContainerRemove(context.Background(), probed, client.ContainerRemoveOptions{Force: true})
	if err != nil && !cerrdefs.IsNotFound(err) {
		t.Errorf("remove the container: %v", err)
	}
}

func forEngines(t *testing.T, test func(t *testing.T, e *Engine)) {
	for _, engine := range testenv.NeedEngines(t) {
		t.Run(engineName(engine.Host), func(t *testing.T) {
			testenv.NeedImages(t, engine, "busybox")
			test(t, openEngine(t, engine.Host))
		})
	}
}

// TestProbe: what a healthcheck is given, and what comes out of it.
func TestProbe(t *testing.T) {
	forEngines(t, func(t *testing.T, e *Engine) {
		r := newProbed(t, e, container.Config{Image: busybox, User: "1234:5678", WorkingDir: "/tmp", Env: []string{"COLOUR=blue"}})
		for _, test := range []struct {
			name  string
			check compose.Healthcheck
			code  int
			want  string
		}{
			{"success", compose.Healthcheck{Test: []string{"true"}}, 0, ""},
			{"failure", compose.Healthcheck{Test: []string{"sh", "-c", "exit 7"}}, 7, ""},
			{"a shell", compose.Healthcheck{Shell: "echo to stdout | cat; exit 3"}, 3, "to stdout\n"},
			{"errors are output", compose.Healthcheck{Shell: "echo to stderr >&2"}, 0, "to stderr\n"},
			{"user, directory, environment", compose.Healthcheck{Shell: "id -u; id -g; pwd; echo $COLOUR"}, 0, "1234\n5678\n/tmp\nblue\n"},
			{"no such program", compose.Healthcheck{Test: []string{"no-such-program"}}, -1, "no-such-program"},
			{"a lot of output", compose.Healthcheck{Shell: "yes 123456789 | head -n 10000; echo end"}, 0, "123456789\nend\n"},
		} {
			t.Run(test.name, func(t *testing.T) {
				got := r.Probe(t.Context(), "web-1", test.check)
				isWrong := got.Code != test.code
				if test.code < 0 {
					isWrong = got.Code != 126 && got.Code != 127
				}
				if isWrong || got.Err != "" || !strings.Contains(got.Output, test.want) || len(got.Output) > health.MaxOutput {
					t.Errorf("got %+v, want exit code %d and output %q", got, test.code, test.want)
				}
			})
		}
	})
}

// TestProbeTimeout: nothing is left of a healthcheck that lasts too long.
func TestProbeTimeout(t *testing.T) {
	forEngines(t, func(t *testing.T, e *Engine) {
		r := newProbed(t, e, container.Config{Image: busybox, Env: []string{"MARK=" + t.Name()}})
		sleeping := func(want ...string) error {
			now := running("MARK=" + t.Name())
			for _, w := range append(want, "sleep 1000 ") {
				if !slices.Contains(now, w) {
					return fmt.Errorf("%q does not run, but %q", w, now)
				}
			}
			if extra := len(now) - len(want) - 1; len(want) == 0 && extra > 1 { // init
				return fmt.Errorf("more than the container's program runs: %q", now)
			}
			return nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		result := make(chan health.Result, 1)
		go func() {
			result <- r.Probe(ctx, "web-1", compose.Healthcheck{Shell: `
				trap "" TERM INT HUP
				echo begun
				sleep 1001 &
				setsid sleep 1002 &
				(setsid sh -c 'sleep 1003; sleep 1005' &)
				sleep 1004
				echo not reached`})
		}()
		testenv.Eventually(t, 20*time.Second, func() error {
			return sleeping("sleep 1001 ", "sleep 1002 ", "sleep 1003 ", "sleep 1004 ")
		})
		cancel()
		if got := <-result; got.Code != 137 || got.Output != "begun\n" || got.Err != "" {
			t.Errorf("the result is %+v", got)
		}
		testenv.Eventually(t, 5*time.Second, func() error { return sleeping() })
	})
}

// TestProbeTooSoon: a timeout before the engine has started the command, too.
func TestProbeTooSoon(t *testing.T) {
	forEngines(t, func(t *testing.T, e *Engine) {
		r := newProbed(t, e, container.Config{Image: busybox, Env: []string{"MARK=" + t.Name()}})
		for _, after := range []time.Duration{0, time.Millisecond, 10 * time.Millisecond, 30 * time.Millisecond} {
			ctx, cancel := context.WithTimeout(t.Context(), after)
			got := r.Probe(ctx, "web-1", compose.Healthcheck{Shell: "sleep 1001; sleep 1002"})
			cancel()
			if got.Code == 0 {
				t.Errorf("after %v the result is %+v", after, got)
			}
			if left := running("MARK=" + t.Name()); slices.Contains(left, "sleep 1001 ") {
				t.Errorf("after %v there are %q", after, left)
			}
		}
	})
}

// TestProbeNobody: what cannot be asked is neither well nor ill.
func TestProbeNobody(t *testing.T) {
	forEngines(t, func(t *testing.T, e *Engine) {
		r := newProbed(t, e, container.Config{Image: busybox})
		if _, err := e.api.ContainerKill(t.Context(), probed, client.ContainerKillOptions{Signal: "KILL"}); err != nil {
			t.Fatal(err)
		}
		testenv.Eventually(t, 10*time.Second, func() error {
			if got := r.Probe(t.Context(), "web-1", compose.Healthcheck{Test: []string{"true"}}); got.Err == "" {
				return fmt.Errorf("the result is %+v", got)
			}
			return nil
		})
		if got := r.Probe(t.Context(), "web-2", compose.Healthcheck{Test: []string{"true"}}); got.Err == "" {
			t.Errorf("an instance without a container: %+v", got)
		}
	})
}

// TestHealthcheck: of the image, of the container, and none.
func TestHealthcheck(t *testing.T) {
	forEngines(t, func(t *testing.T, e *Engine) {
		check := func(config container.Config) *compose.Healthcheck {
			t.Helper()
			got, err := newProbed(t, e, config).Healthcheck(t.Context(), "web-1")
			if err != nil {
				t.Fatal(err)
			}
			return got
		}
		if got := check(container.Config{Image: busybox}); got != nil {
			t.Errorf("none is %+v", got)
		}
		committed, err := e.api.ContainerCommit(t.Context(), probed, client.ContainerCommitOptions{
			Reference: probedImage, Changes: []string{"HEALTHCHECK --interval=7s CMD true"},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			removeProbed(t, e)
			if _, err := e.api.ImageRemove(context.Background(), committed.ID, client.ImageRemoveOptions{Force: true}); err != nil {
				t.Errorf("remove the image: %v", err)
			}
		})
		if got := check(container.Config{Image: probedImage}); got == nil || got.Shell != "true" || got.Interval != 7*time.Second || got.Retries != 3 {
			t.Errorf("the image's is %+v", got)
		}
		own := &container.HealthConfig{Test: []string{"CMD", "false"}, Retries: 9}
		if got := check(container.Config{Image: probedImage, Healthcheck: own}); got == nil || !slices.Equal(got.Test, []string{"false"}) || got.Retries != 9 {
			t.Errorf("the container's is %+v", got)
		}
		if got := check(container.Config{Image: probedImage, Healthcheck: &container.HealthConfig{Test: []string{"NONE"}}}); got != nil {
			t.Errorf("one that is switched off is %+v", got)
		}
	})
}

// running lists the processes with an entry in their environment.
func running(entry string) (commands []string) {
	environs, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range environs {
		env, err := os.ReadFile(path)
		if err != nil || !slices.Contains(strings.Split(string(env), "\x00"), entry) {
			continue
		}
		command, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
		commands = append(commands, strings.ReplaceAll(string(command), "\x00", " "))
	}
	return commands
}
