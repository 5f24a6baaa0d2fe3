package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"upall/supervisor"
	"upall/supervisor/control"
	"upall/supervisor/keeper"
	"upall/supervisor/process"
)

// link is the connection to a project's supervisor.
type link struct {
	*control.Client
	project string
	fresh   bool // this command has started the supervisor
	// starting is an agent that may not be there yet, with the Client nil until join.
	starting *agentStart
}

// findSupervisor connects to the project's supervisor, nil if there is none. That of
// containers may be in one itself.
func findSupervisor(ctx context.Context, project string, hasContainers bool) (*control.Client, error) {
	client, err := findOwn(ctx, project)
	if client != nil || err != nil || !hasContainers {
		return client, err
	}
	return findAgent(ctx, project)
}

// findOwn connects to a supervisor of the user's own, nil if there is none.
func findOwn(ctx context.Context, project string) (*control.Client, error) {
	client, err := control.Dial(ctx, supervisor.ControlSocket(process.BaseDir(os.Getenv), project))
	switch {
	case err == nil:
		return client, nil
	case errors.Is(err, control.ErrGone):
		return nil, nil //nolint:nilnil // that there is none is no error
	}
	return nil, fmt.Errorf("reach the supervisor of project %q: %w", project, err)
}

// end ends the project, and the supervisor with it.
func (l *link) end(ctx context.Context) error {
	if lease, err := l.join(); err != nil || l.Client == nil {
		return err
	} else if lease != nil {
		lease.Release()
	}
	return endProject(ctx, l.Client, l.project, control.Action{Verb: control.End})
}

// endProject asks a project's supervisor to end, and waits until it has: after its
// answer, or without one, for it may be quicker. Another may be there by then, which
// somebody else has started.
func endProject(ctx context.Context, client *control.Client, project string, action control.Action) error {
	before, err := client.Snapshot(ctx)
	if err != nil && !errors.Is(err, control.ErrGone) {
		return err
	}
	holder, running := process.Holder(process.BaseDir(os.Getenv), project)
	if _, err := client.Act(ctx, action); err != nil && !errors.Is(err, control.ErrGone) {
		return err
	}
	if before.Agent != nil {
		return awaitAgent(ctx, project)
	}
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for running {
		select {
		case <-again.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		now, is := process.Holder(process.BaseDir(os.Getenv), project)
		running = is && now == holder
	}
	return nil
}

// leave undoes what a command that was broken off has begun: it ends the project
// that it has brought up, and stops its services in one that was up.
func (l *link) leave(ctx context.Context, services []string) error {
	if l.fresh {
		return l.end(ctx)
	}
	_, err := l.Act(ctx, control.Action{Verb: control.Stop, Services: services})
	return err
}

// startPatience is how long a supervisor that another command starts may take to
// be there.
const startPatience = 10 * time.Second

// openSupervisor connects to the project's supervisor, which it starts if there is
// none.
func openSupervisor(ctx context.Context, project string, hasContainers bool) (*link, error) {
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	limit := time.After(startPatience)
	for {
		client, err := findSupervisor(ctx, project, hasContainers)
		if client != nil || err != nil {
			return &link{Client: client, project: project}, err
		}
		running, err := startSupervisor(project)
		if err != nil {
			return nil, err
		}
		if running == "" {
			client, err := findSupervisor(ctx, project, hasContainers)
			if client == nil && err == nil {
				err = fmt.Errorf("the supervisor of project %q has ended again", project)
			}
			return &link{Client: client, project: project, fresh: true}, err
		}
		select { // somebody else starts or ends it at this moment
		case <-again.C:
		case <-limit:
			return nil, errors.New(running)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// startSupervisor returns when the supervisor listens. If another has the project
// running says so.
func startSupervisor(project string) (running string, err error) {
	ours, theirs, err := os.Pipe()
	if err != nil {
		return "", err
	}
	defer func() { _ = ours.Close() }() // only read
	cmd := keeper.Command([]string{os.Args[0], "supervise", "--", project}, theirs)
	cmd.Dir = "/"
	err = cmd.Start()
	if err = errors.Join(err, theirs.Close()); err != nil {
		return "", fmt.Errorf("start the supervisor: %w", err)
	}
	said, err := bufio.NewReader(ours).ReadString('\n')
	said = strings.TrimSpace(said)
	if said == saysListening {
		return "", cmd.Process.Release()
	}
	waitErr := cmd.Wait()
	if running, is := strings.CutPrefix(said, saysRunning); is {
		return running, nil
	}
	if why, is := strings.CutPrefix(said, saysFailed); is {
		return "", errors.New(why)
	}
	return "", fmt.Errorf("start the supervisor of project %q: it has ended (%w, %w)", project, err, waitErr)
}
