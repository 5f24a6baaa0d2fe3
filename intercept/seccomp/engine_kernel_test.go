package seccomp

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"upall/internal/testenv"
)

// staticImage holds one static program, which connects to itself when told to.
const staticImage = "upall-test/static:1"

// handedOver is what an Agent was given.
type handedOver struct {
	state    State
	notifyFD *NotifyFD
}

// TestKernelListenerPath: an engine hands over the notifyFD of a container
// whose profile has a listenerPath, and the container's connect is notified of
// and goes on when told to.
func TestKernelListenerPath(t *testing.T) {
	engine := testenv.NeedEngine(t)
	if !hasListenerPath(t, engine.API) {
		t.Skipf("Docker Engine %s has no listenerPath (API %s, 1.42 has)", engine.Version, engine.API)
	}
	docker := testenv.NeedProgram(t, "docker")
	err := exec.CommandContext(t.Context(), docker, "image", "inspect", staticImage).Run()
	testenv.Need(t, err == nil, "the image "+staticImage+" (hack/images $DOCKER_HOST makes it)")

	socket := filepath.Join(t.TempDir(), "agent")
	given := make(chan handedOver, 1) // one container is run
	agent, err := ListenAgent(AgentOptions{Path: socket, Attach: func(state State, fd *NotifyFD) error {
		given <- handedOver{state, fd}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := agent.Close(); err != nil {
			t.Errorf("close the agent: %v", err)
		}
	})
	ended := make(chan string, 1) // the one result of the container
	go func() {
		out, err := exec.CommandContext(t.Context(), docker, "run", "--rm", "--network", "none",
			"--security-opt", "seccomp="+writeProfile(t, socket, "web-1"), staticImage, "self").CombinedOutput()
		if err != nil {
			out = append(out, err.Error()...)
		}
		ended <- string(out)
	}()

	select {
	case out := <-ended:
		t.Fatalf("the container ended without a hand-over: %s", out)
	case got := <-given:
		if got.state.Metadata != "web-1" || got.state.PID == 0 {
			t.Errorf("handed over %+v, want metadata web-1 and a pid", got.state)
		}
		continueOne(t, got.notifyFD)
	}
	if out := <-ended; out != "self\n" {
		t.Errorf("the container said %q, want what it sent to itself", out)
	}
}

// hasListenerPath: API 1.42 is that of engine 23, whose profiles have it.
func hasListenerPath(t *testing.T, api string) bool {
	t.Helper()
	major, minor, _ := strings.Cut(api, ".")
	x, err := strconv.Atoi(major)
	y, err2 := strconv.Atoi(minor)
	if err := errors.Join(err, err2); err != nil {
		t.Fatalf("parse API version %q: %v", api, err)
	}
	return x > 1 || x == 1 && y >= 42
}

// writeProfile writes a seccomp profile that notifies of connect alone.
func writeProfile(t *testing.T, socket, metadata string) string {
	t.Helper()
	profile, err := json.Marshal(map[string]any{
		"defaultAction":    "SCMP_ACT_ALLOW",
		"listenerPath":     socket,
		"listenerMetadata": metadata,
		"syscalls":         []any{map[string]any{"names": []string{"connect"}, "action": "SCMP_ACT_NOTIFY"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "profile.json")
	if err := os.WriteFile(path, profile, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// continueOne receives the container's only connect and lets it go on.
func continueOne(t *testing.T, notifyFD *NotifyFD) {
	t.Helper()
	var got Notification
	err := ErrInterrupted
	for errors.Is(err, ErrInterrupted) {
		err = notifyFD.Receive(&got)
	}
	if err == nil && got.Nr != unix.SYS_CONNECT {
		t.Errorf("notified of system call %d, want connect", got.Nr)
	}
	if err == nil {
		err = notifyFD.Continue(got.ID)
	}
	// Closed before the test ends or fails: a held call would never return.
	if err := errors.Join(err, notifyFD.Close()); err != nil {
		t.Errorf("continue the connect: %v", err)
	}
}
