package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"upall/internal/linux"
	"upall/supervisor"
	"upall/supervisor/control"
	"upall/supervisor/engine"
	"upall/supervisor/engine/agent"
	"upall/supervisor/keeper"
	"upall/supervisor/process"
)

// What a supervisor says to who started it, as one line on a pipe.
const (
	saysListening = agent.SaysListening
	saysRunning   = agent.SaysRunning // another one has the project, and its message
	saysFailed    = agent.SaysFailed
)

// inAgent says of an agent what its container was created with.
type inAgent struct {
	control.Agent
	key, engineID string
	state         string // the directory of the states of projects
}

// newSupervise is what a keeper starts. It is no command for people.
func newSupervise() *cobra.Command {
	var in inAgent
	cmd := &cobra.Command{
		Use:    "supervise PROJECT",
		Short:  "Supervise a project",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if in.Engine == "" {
				return supervise(cmd.Context(), args[0], nil)
			}
			in.Container = agent.Name(args[0])
			if err := becomeReplacement(in.replacement(args[0])); err != nil {
				return err
			}
			return supervise(cmd.Context(), args[0], &in)
		},
	}
	f := cmd.Flags()
	f.StringVar(&in.key, "key", "", "`name` of an agent among those of the project")
	f.StringVar(&in.state, "state", "", "`directory` of an agent's projects")
	f.StringVar(&in.Shim, "shim", "", "`directory` of the shim, of an agent")
	f.IntVar(&in.Owner, "owner", 0, "`user` ID of who may command an agent, besides root")
	f.StringVar(&in.Engine, "engine", "", "address of the engine whose container this is")
	f.BoolVar(&in.OnHost, "on-host", false, "an agent that runs processes too")
	f.StringVar(&in.engineID, "engine-id", "", "what that engine calls itself")
	return cmd
}

func (in *inAgent) replacement(project string) string {
	return agent.Replacement(in.Shim, project, in.key)
}

// becomeReplacement executes what a newer upall has put in the place of this
// executable, if it has. It comes before the keeper is spoken to.
func becomeReplacement(path string) error {
	there, err := os.Stat(path)
	if err != nil {
		return nil //nolint:nilerr // there is none
	}
	if self, err := os.Stat(executable); err != nil || os.SameFile(self, there) {
		return err
	}
	return os.NewSyscallError("execve", syscall.Exec(path, os.Args, os.Environ()))
}

// supervise supervises a project, in an agent's container if in is given.
func supervise(ctx context.Context, project string, in *inAgent) error {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	// Caught and not ignored: what is ignored would be so in every service.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP, syscall.SIGPIPE)
	conn, entries, life, err := keeper.Adopt()
	if err != nil {
		return fmt.Errorf("supervise is started by `upall up`, not by hand: %w", err)
	}
	_ = os.WriteFile("/proc/self/comm", []byte("upall"), 0) // executed as /proc/self/exe it would be called so
	starter := &starter{pipe: conn.First()}
	if in != nil && life == 1 { // who has started the container reads its output
		if starter.pipe, err = dupStdout(); err != nil {
			return err
		}
	}
	end, kill := stopSignals(signals)
	config := supervisor.Config{
		Project: project, Base: process.BaseDir(os.Getenv), ShimDirectory: agent.Shared().Shim, Version: version,
		Logger: slog.Default(), Keep: conn, Life: life, KeeperPID: os.Getppid(), KeeperGone: conn.Gone(), End: end, Kill: kill,
		OpenEngine: func(ctx context.Context) (*engine.Engine, error) { return openEngine(ctx, in) },
		Opened:     func(dir string) *slog.Logger { return openLog(filepath.Join(dir, "log")) },
		Listening:  func() { starter.say(saysListening) },
	}
	if in != nil {
		config.Agent, config.Base, config.ShimDirectory, config.ContainerKey = &in.Agent, in.state, in.Shim, in.key
	}
	for _, e := range entries {
		config.Kept = append(config.Kept, supervisor.Kept(e))
	}
	err = supervisor.Serve(ctx, config)
	starter.fail(err)
	if in != nil {
		awaitRelays()
	}
	code := 0
	if err != nil {
		code = exitFailure
	}
	if in != nil && !errors.Is(err, supervisor.ErrEngineEnds) {
		err = errors.Join(err, in.remove(ctx, project))
	}
	return errors.Join(err, conn.End(code))
}

// remove removes what an agent leaves, and the container that this is: that ends it.
// Where that fails the engine starts it again, and it tries once more when nobody has
// given it a project.
func (in *inAgent) remove(ctx context.Context, project string) error {
	_ = os.Remove(in.replacement(project)) // most have none
	if !agent.ComesBack(in.Engine, in.OnHost) {
		return nil // the engine removes it
	}
	e, err := openEngine(ctx, in)
	if err != nil {
		return err
	}
	return errors.Join(agent.RemoveSelf(ctx, e.API(), project, in.key), e.Close())
}

// openEngine connects to the engine, which has to be the one whose container an
// agent is: its socket's path may be a guess.
func openEngine(ctx context.Context, in *inAgent) (*engine.Engine, error) {
	e, err := engine.Open(ctx, engine.NoStreams())
	if err != nil || in == nil || in.engineID == e.ID() {
		return e, err
	}
	err = fmt.Errorf("the engine whose socket the agent was given is not the one at %s: set UPALL_ENGINE_SOCKET to the path of its socket on its own machine, then `upall down` and up", in.Engine)
	return nil, errors.Join(err, e.Close())
}

// stopSignals turns the first signal into a graceful end and the second into a
// kill.
func stopSignals(signals <-chan os.Signal) (end, kill <-chan struct{}) {
	first, second := make(chan struct{}), make(chan struct{})
	go func() {
		<-signals
		close(first)
		<-signals
		close(second)
	}()
	return first, second
}

// starter is who waits for the first life of a supervisor to be there.
type starter struct{ pipe *os.File }

func (s *starter) say(what string) {
	if s.pipe == nil {
		return
	}
	_, _ = io.WriteString(s.pipe, strings.ReplaceAll(what, "\n", "; ")+"\n") // who listens may be gone
	_ = s.pipe.Close()
	s.pipe = nil
}

// fail says why there is no supervisor, if the error says so.
func (s *starter) fail(err error) {
	switch {
	case err == nil || errors.Is(err, supervisor.ErrEngineEnds):
	case errors.Is(err, process.ErrRunning):
		s.say(saysRunning + err.Error())
	default:
		s.say(saysFailed + err.Error())
		slog.Error("the supervisor ends", "error", err)
	}
}

// dupStdout keeps the standard output, whose place openLog takes.
func dupStdout() (*os.File, error) {
	fd, err := linux.Duplicate(syscall.Stdout)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd.Disown()), "stdout"), nil
}

// openLog has what a supervisor writes, a crash of it too, go to a file of the
// project, for it has no terminal.
func openLog(path string) *slog.Logger {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err == nil {
		_ = syscall.Dup3(int(file.Fd()), 1, 0)
		_ = syscall.Dup3(int(file.Fd()), 2, 0)
		_ = file.Close()
	}
	logger := newLogger(os.Getenv("UPALL_LOG"))
	slog.SetDefault(logger)
	return logger
}
