package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"upall/compose"
	"upall/internal/linux"
	"upall/supervisor/control"
	"upall/supervisor/engine"
	"upall/supervisor/engine/agent"
	"upall/supervisor/process"
)

// The values of --agent: whether the supervisor of containers runs in a container
// of the engine.
const (
	agentAuto   = "auto" // where it cannot do its work from here
	agentAlways = "always"
	agentNever  = "never"
)

func checkAgentMode(mode string) error {
	if !slices.Contains([]string{agentAuto, agentAlways, agentNever}, mode) {
		return usageError{fmt.Errorf("--agent %s: unknown (known: auto, always, never)", mode)}
	}
	return nil
}

// wantsAgent tells whether an agent is to look after containers, and why. notLocal
// says what keeps upall itself from it, nil if nothing does.
func wantsAgent(mode string, notLocal error) (is bool, why string) {
	switch {
	case mode == agentAlways:
		return true, "--agent always"
	case mode == agentNever:
		return false, "--agent never"
	case notLocal != nil:
		return true, notLocal.Error()
	}
	return false, "upall is root on the engine's machine"
}

// openLink connects to the project's supervisor, which it starts if there is none:
// here, or in a container.
func (u *upRun) openLink(ctx context.Context) (*link, error) {
	if u.containers == nil {
		return openSupervisor(ctx, u.project.Name, false)
	}
	is, _ := wantsAgent(u.files.agent, u.containers.NotLocal())
	if !is || !intercepts() {
		return openSupervisor(ctx, u.project.Name, true)
	}
	return u.openAgent(ctx)
}

// hostProcess is this process, for an agent that is to run processes beside it; nil
// where all services are containers. An agent elsewhere cannot.
func (u *upRun) hostProcess() (*agent.Process, error) {
	n := slices.IndexFunc(u.plan.Services, isProcess)
	if n < 0 {
		return nil, nil //nolint:nilnil // none is needed
	}
	if err := u.containers.NotHere(); err != nil {
		return nil, fmt.Errorf("service %q runs as a process here, and the project's containers do not, so that they cannot reach each other (%w): set x-upall.runtime so that all run in one way", u.plan.Services[n].Name, err)
	}
	namespace, err := linux.PIDNamespace()
	return &agent.Process{PID: os.Getpid(), Namespace: namespace}, err
}

func isProcess(s compose.Service) bool { return s.Runtime == compose.Process }

// checkAgent finds what a running agent cannot do for this `up`.
func (u *upRun) checkAgent(a *control.Agent) error {
	switch {
	case a == nil:
		return nil
	case u.containers != nil && a.Engine != u.containers.Host():
		return fmt.Errorf("project %q is up on the engine at %s, and this is the one at %s: `upall down` there first, or give this project another name", u.project.Name, a.Engine, u.containers.Host())
	case !a.OnHost && slices.ContainsFunc(u.plan.Services, isProcess):
		return fmt.Errorf("project %q is up in an agent that runs no processes, which it has now: `upall down` first", u.project.Name)
	}
	return nil
}

// ownUser is whom an agent runs processes as.
func ownUser() (*control.User, error) {
	groups, err := os.Getgroups()
	if err != nil {
		return nil, fmt.Errorf("find out this user's groups: %w", err)
	}
	u := &control.User{UID: uint32(os.Geteuid()), GID: uint32(os.Getegid()), Groups: []uint32{uint32(os.Getegid())}}
	for _, g := range groups {
		if g != os.Getegid() {
			u.Groups = append(u.Groups, uint32(g))
		}
	}
	return u, nil
}

// engineSocket is where the engine's socket is on the engine's machine.
func engineSocket(host string) string {
	if path, ok := strings.CutPrefix(host, "unix://"); ok {
		return path
	}
	return cmp.Or(os.Getenv("UPALL_ENGINE_SOCKET"), "/var/run/docker.sock")
}

// isOwnEngine tells whether the engine is a rootless one of this user: its socket is the
// user's.
func isOwnEngine(e *engine.Engine) bool {
	path, isUnix := strings.CutPrefix(e.Host(), "unix://")
	if !isUnix || !e.IsRootless() || os.Geteuid() == 0 {
		return false
	}
	info, err := os.Stat(path)
	if err != nil {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Geteuid()
}

// directories are an agent's. Where a rootless engine runs as this user, it may write
// where the user may.
func directories(e *engine.Engine) agent.Directories {
	if !isOwnEngine(e) {
		return agent.Shared()
	}
	data := os.Getenv("XDG_DATA_HOME")
	if data == "" {
		data = filepath.Join(os.Getenv("HOME"), ".local", "share")
	}
	return agent.Directories{State: process.BaseDir(os.Getenv), Shim: filepath.Join(data, "upall")}
}

// dialAgent connects through the agent's socket where that is of this machine, and
// else through the engine.
func dialAgent(ctx context.Context, e *engine.Engine, a *agent.Agent) (*control.Client, error) {
	if e.NotHere() == nil || isOwnEngine(e) {
		client, err := control.Dial(ctx, a.Socket())
		if !errors.Is(err, fs.ErrNotExist) {
			return client, err
		}
	}
	return control.DialStream(ctx, a.Dial)
}

// findAgent connects to the supervisor that a project has in a container, nil if
// there is none. That of an engine of this machine is found while the engine is away.
func findAgent(ctx context.Context, project string) (*control.Client, error) {
	e, err := engine.Open(ctx, engine.NoStreams())
	if err != nil {
		return findAgentAlone(ctx, project), nil // who needs the engine says why it does not answer
	}
	client, err := findAgentOn(ctx, e, project)
	if client == nil {
		err = errors.Join(err, e.Close())
	}
	return client, err
}

// findAgentAlone connects to the agent of an engine that does not answer, nil if it is
// not to be found. There may be one of another engine.
func findAgentAlone(ctx context.Context, project string) *control.Client {
	host, err := engine.Host()
	if err != nil || !strings.HasPrefix(host, "unix://") {
		return nil
	}
	for _, state := range []string{agent.Shared().State, process.BaseDir(os.Getenv)} {
		client, err := control.Dial(ctx, agent.Socket(state, project))
		if err != nil {
			continue
		}
		if s, err := client.Snapshot(ctx); err == nil && s.Agent != nil && s.Agent.Engine == host {
			return client
		}
	}
	return nil
}

// answerPatience is how long an agent that is there may take to answer.
const answerPatience = 10 * time.Second

// findAgentOn asks an engine, which the client uses until upall ends. An agent that the
// engine starts again is waited for.
func findAgentOn(ctx context.Context, e *engine.Engine, project string) (*control.Client, error) {
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	limit := time.After(answerPatience)
	for {
		a, err := agent.Find(ctx, e.API(), project)
		if a == nil || err != nil {
			return nil, err
		}
		client, err := dialAgent(ctx, e, a)
		switch {
		case errors.Is(err, fs.ErrPermission):
			return nil, fmt.Errorf("project %q is another user's (container %s)", project, agent.Name(project))
		case !errors.Is(err, control.ErrGone):
			return client, err
		}
		select { // it has just ended, or begins
		case <-again.C:
		case <-limit:
			return nil, fmt.Errorf("the agent of project %q does not answer: look at `docker logs %[2]s`, and remove it with `docker rm -f %[2]s`", project, agent.Name(project))
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// awaitAgent waits until the engine has removed the project's agent, which has ended.
func awaitAgent(ctx context.Context, project string) (err error) {
	e, err := engine.Open(ctx, engine.NoStreams())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	return agent.AwaitEnd(ctx, e.API(), project)
}
