package profile

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"upall/intercept/seccomp"
	"upall/internal/testenv"
)

// staticImage holds one static program, which connects to itself when told to.
const staticImage = "upall-test/static:1"

// sidestep is an agent that lets each call go on, and counts them.
type sidestep struct {
	path string
	mu   sync.Mutex
	n    int
	pids []int
	work sync.WaitGroup
}

func newSidestep(t *testing.T) *sidestep {
	t.Helper()
	s := &sidestep{path: filepath.Join(t.TempDir(), "agent")}
	agent, err := seccomp.ListenAgent(seccomp.AgentOptions{Path: s.path, Attach: func(state seccomp.State, fd *seccomp.NotifyFD) error {
		s.mu.Lock()
		s.pids = append(s.pids, state.PID)
		s.mu.Unlock()
		s.work.Go(func() { s.serve(t, fd) })
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := agent.Close(); err != nil {
			t.Errorf("close the agent: %v", err)
		}
		s.work.Wait()
	})
	return s
}

func (s *sidestep) serve(t *testing.T, fd *seccomp.NotifyFD) {
	var n seccomp.Notification
	for {
		err := fd.Receive(&n)
		if err == nil {
			s.mu.Lock()
			s.n++
			s.mu.Unlock()
			err = fd.Continue(n.ID)
		}
		if err != nil && !errors.Is(err, seccomp.ErrInterrupted) && (!errors.Is(err, seccomp.ErrGone) || fd.IsDone()) {
			break
		}
	}
	if err := fd.Close(); err != nil {
		t.Errorf("close a notifyFD: %v", err)
	}
}

// taken returns how many calls were notified of since the last time, and the
// process of each hand-over.
func (s *sidestep) taken() (calls int, pids []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls, pids, s.n, s.pids = s.n, s.pids, 0, nil
	return calls, pids
}

// listeningEngine is an engine whose profiles have a listenerPath.
func listeningEngine(t *testing.T) (docker string, engine testenv.Engine) {
	t.Helper()
	engine = testenv.NeedEngine(t)
	version, err := parseAPI(engine.API)
	if err != nil {
		t.Fatal(err)
	}
	if version.before(apiVersion{1, 42}) {
		t.Skipf("Docker Engine %s has no listenerPath (API %s, 1.42 has)", engine.Version, engine.API)
	}
	docker = testenv.NeedProgram(t, "docker")
	err = exec.CommandContext(t.Context(), docker, "image", "inspect", staticImage).Run()
	testenv.Need(t, err == nil, "the image "+staticImage+" (hack/images $DOCKER_HOST makes it)")
	return docker, engine
}

// variants are options of containers, and the base that each has.
func variants(t *testing.T, api string) map[string]variant {
	t.Helper()
	get := must(t)
	builtin, unconfined := get(Builtin(api)), get(Unconfined())
	list := map[string]variant{
		"default":           {nil, builtin},
		"no new privileges": {[]string{"--security-opt", "no-new-privileges"}, builtin},
		"user":              {[]string{"--user", "1234"}, builtin},
		"user and nnp":      {[]string{"--user", "1234", "--security-opt", "no-new-privileges"}, builtin},
		"root":              {[]string{"--user", "0"}, builtin},
		"no capability":     {[]string{"--user", "0", "--cap-drop", "ALL"}, builtin},
		"CAP_SYS_ADMIN":     {[]string{"--user", "0", "--cap-add", "SYS_ADMIN"}, builtin},
		"CAP_SYS_PTRACE":    {[]string{"--user", "0", "--cap-add", "SYS_PTRACE"}, builtin},
		"read only":         {[]string{"--read-only"}, builtin},
		"unconfined":        {[]string{"--security-opt", "seccomp=unconfined"}, unconfined},
	}
	privileged, err := Choose(nil, true, api, builtin)
	switch {
	case err == nil:
		list["privileged"] = variant{[]string{"--user", "0", "--privileged"}, privileged}
	case !errors.Is(err, ErrPrivileged):
		t.Fatal(err)
	}
	return list
}

type variant struct {
	options []string
	base    Base
}

// TestKernelProfiles: with the merged profile no call is denied less than with the
// engine's own, and none more but what newer engines deny. Its connects and listens
// are notified of.
func TestKernelProfiles(t *testing.T) {
	docker, engine := listeningEngine(t)
	probe := compileProbe(t)
	agent := newSidestep(t)
	for name, v := range variants(t, engine.API) {
		t.Run(name, func(t *testing.T) {
			run := func(options []string, image ...string) string {
				args := append([]string{"run", "--rm", "--network", "none", "--volume", probe + ":/probe:ro"}, options...)
				out, err := exec.CommandContext(t.Context(), docker, append(args, image...)...).CombinedOutput()
				if err != nil {
					t.Fatalf("docker %q: %v: %s", args, err, out)
				}
				return string(out)
			}
			body, err := Merge(v.base, seccomp.Filter{}, agent.path, "web-1")
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "profile.json")
			if err := os.WriteFile(file, body, 0o600); err != nil {
				t.Fatal(err)
			}
			options := append(slices.Clone(v.options), "--security-opt", "seccomp="+file)

			if got := run(options, staticImage, "self"); got != "self\n" {
				t.Errorf("the container said %q, want what it sent to itself", got)
			}
			if calls, pids := agent.taken(); calls != 2 || len(pids) != 1 || pids[0] == 0 {
				t.Errorf("notified of %d calls of processes %d, want a listen and a connect of one", calls, pids)
			}
			probed := []string{"--entrypoint", "/probe"}
			compare(t, run(append(probed, v.options...), staticImage), run(append(probed, options...), staticImage))
			agent.taken()
		})
	}
}

func compileProbe(t *testing.T) string {
	t.Helper()
	// Not t.TempDir(), which only root can enter: containers have other users.
	folder, err := os.MkdirTemp("", "upall-probe-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(folder); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	probe := filepath.Join(folder, "probe")
	out, err := exec.CommandContext(t.Context(), testenv.NeedProgram(t, "gcc"), "-static", "-O1", "-Wall", "-Werror", "-o", probe, "testdata/probe.c").CombinedOutput()
	if err != nil {
		t.Fatalf("compile the probe: %v: %s", err, out)
	}
	return probe
}

// compare goes through the probe's lines, without and with upall.
func compare(t *testing.T, without, with string) {
	t.Helper()
	was, is := strings.Split(strings.TrimSpace(without), "\n"), strings.Split(strings.TrimSpace(with), "\n")
	if len(was) != len(is) || len(was) < 500 {
		t.Fatalf("the probe wrote %d lines without upall and %d with", len(was), len(is))
	}
	for i := range was {
		if was[i] != is[i] && !deniedNow(was[i], is[i]) {
			t.Errorf("probe said %q without upall and %q with it", was[i], is[i])
		}
	}
}

// deniedNow: newer engines deny AF_ALG, and upall io_uring_setup, all with the
// error that says so.
func deniedNow(was, is string) bool {
	return was == "socket-38 0" && is == "socket-38 1" || is == "425 2"
}
