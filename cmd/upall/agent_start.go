package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"upall/internal/linux"
	"upall/supervisor/control"
	"upall/supervisor/engine"
	"upall/supervisor/engine/agent"
	"upall/supervisor/process"
)

// executable is this one, which an agent's image is made of.
const executable = "/proc/self/exe"

// prepareImage finds out in the background which image an agent would be started
// from, where one is likely to be.
func prepareImage(mode string) (image func() (string, error)) {
	image = sync.OnceValues(func() (string, error) { return agent.Image(executable) })
	if likely, _ := wantsAgent(mode, notRoot()); likely {
		go image() //nolint:errcheck // who needs it gets the error
	}
	return image
}

func notRoot() error {
	if os.Geteuid() != 0 {
		return errors.New("upall is not root")
	}
	return nil
}

// agentPatience is how long an agent that ends may take until another can start.
const agentPatience = 30 * time.Second

// agentStart is the start of an agent beside the creation of containers, for which
// it is known what the agent will be.
type agentStart struct {
	presumed control.Snapshot
	done     chan struct{} // closed when it has started, or failed
	client   *control.Client
	lease    *control.Lease
	err      error
}

// openAgent connects to the project's supervisor in a container, or begins to start
// one if there is none.
func (u *upRun) openAgent(ctx context.Context) (*link, error) {
	beside, err := u.hostProcess()
	if err != nil {
		return nil, err
	}
	unlock, err := process.LockStart(ctx, process.BaseDir(os.Getenv), u.project.Name)
	if err != nil {
		return nil, err
	}
	client, err := findOwn(ctx, u.project.Name)
	if client == nil && err == nil {
		client, err = findAgentOn(ctx, u.containers, u.project.Name)
	}
	if client != nil || err != nil {
		unlock()
		return &link{Client: client, project: u.project.Name}, err
	}
	l := &link{project: u.project.Name, fresh: true, starting: u.beginAgent(ctx, beside, unlock)}
	if beside != nil || u.containers.NotHere() != nil { // what it will be is not known
		_, err = l.join()
	}
	return l, err
}

// beginAgent starts an agent and takes its lease, and unlocks when both is done.
func (u *upRun) beginAgent(ctx context.Context, beside *agent.Process, unlock func()) *agentStart {
	e, name := u.containers, u.project.Name
	o := agentOptions(e, name)
	o.Enter = beside
	s := &agentStart{done: make(chan struct{}), presumed: control.Snapshot{
		API: control.Version, Version: version, Project: name, Phase: control.Idle, Life: 1,
		Socket: process.Socket(o.State, name), WaitKillable: linux.HasWaitKillable(),
		Agent: &control.Agent{Container: agent.Name(name), Engine: e.Host(), Owner: o.Owner, Shim: o.Shim},
	}}
	go func() {
		defer close(s.done)
		defer unlock()
		var image string
		if image, s.err = u.agentImage(); s.err == nil {
			s.client, s.err = startAgent(ctx, e, image, o)
		}
		if s.err == nil {
			s.lease, s.err = s.client.Lease(ctx, nil)
		}
	}()
	return s
}

func agentOptions(e *engine.Engine, project string) agent.Options {
	o := agent.Options{
		Project: project, Key: rand.Text(), Directories: directories(e), Owner: os.Geteuid(),
		Host: e.Host(), Socket: engineSocket(e.Host()), EngineID: e.ID(), AppArmor: e.HasAppArmor(),
	}
	if isOwnEngine(e) {
		o.Owner = 0 // as whom the engine has this user
	}
	if level := os.Getenv("UPALL_LOG"); level != "" {
		o.Env = append(o.Env, "UPALL_LOG="+level)
	}
	return o
}

func startAgent(ctx context.Context, e *engine.Engine, image string, o agent.Options) (*control.Client, error) {
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	limit := time.After(agentPatience)
	for {
		a, err := agent.Start(ctx, e.API(), executable, image, o)
		if err == nil {
			return dialAgent(ctx, e, a)
		}
		if !errors.Is(err, agent.ErrExists) {
			return nil, err
		}
		if err := agent.RemoveEnded(ctx, e.API(), o.Project); err != nil {
			return nil, err
		}
		select { // it ends at this moment, or is of somebody who starts it
		case <-again.C:
		case <-limit:
			return nil, fmt.Errorf("%w (container %s), and it is not this command's: it is another user's, or does not answer", err, agent.Name(o.Project))
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// join waits until the agent that this command starts is there, if it does. The lease
// is nil where it has given that away already.
func (l *link) join() (*control.Lease, error) {
	s := l.starting
	if s == nil {
		return nil, nil //nolint:nilnil // there is nothing to wait for
	}
	<-s.done
	l.Client = s.client
	return s.lease, s.err
}

// replaceAgent has the supervisor in a running agent be this executable from now on,
// and returns what it says then. Its keeper stays, and so does all that it holds.
func (u *upRun) replaceAgent(ctx context.Context, before control.Snapshot) (control.Snapshot, error) {
	if u.containers == nil {
		return before, nil
	}
	a, err := agent.Find(ctx, u.containers.API(), u.project.Name)
	if a == nil || err != nil {
		return before, err
	}
	fmt.Fprintf(u.cmd.ErrOrStderr(), "upall: the agent of project %q goes on as upall %s (it was %s)\n", u.project.Name, version, before.Version)
	if err := a.Replace(ctx, executable); err != nil {
		return before, err
	}
	if err := u.link.Replace(ctx, before); err != nil {
		return before, err
	}
	return u.link.Snapshot(ctx)
}
