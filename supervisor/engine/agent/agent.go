package agent

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// ErrExists says that the project has an agent already.
var ErrExists = errors.New("the project has an agent already")

// Agent is the container of a project's supervisor.
type Agent struct {
	api     client.APIClient
	id      string
	project string
	key     string // Options.Key
	Directories
}

// Socket is the path of its control API on the engine's machine.
func (a *Agent) Socket() string { return Socket(a.State, a.project) }

// Find returns the project's agent, nil if none runs. It may not answer yet: the engine
// may be starting it again.
func Find(ctx context.Context, api client.APIClient, project string) (*Agent, error) {
	all, err := find(ctx, api, project, container.StateRunning, container.StateRestarting)
	if len(all) == 0 || err != nil {
		return nil, err
	}
	return all[0], nil
}

// find returns the project's agents that are in one of the states.
func find(ctx context.Context, api client.APIClient, project string, states ...container.ContainerState) (all []*Agent, err error) {
	filters := client.Filters{}.Add("label", label+"="+project)
	for _, s := range states {
		filters = filters.Add("status", string(s))
	}
	list, err := api.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: filters})
	if err != nil {
		return nil, fmt.Errorf("look for the agent of project %q: %w", project, err)
	}
	for _, c := range list.Items {
		all = append(all, &Agent{api, c.ID, project, c.Labels[keyLabel], Directories{c.Labels[stateLabel], c.Labels[shimLabel]}})
	}
	return all, nil
}

// RemoveEnded removes the project's agents that somebody has killed: they could not
// do it.
func RemoveEnded(ctx context.Context, api client.APIClient, project string) error {
	all, err := find(ctx, api, project, container.StateExited, container.StateDead)
	for _, a := range all {
		err = errors.Join(err, a.remove(ctx))
	}
	return err
}

// RemoveSelf removes the agent that has the key, which the caller is. It ends the
// caller; the engine would else start it again.
func RemoveSelf(ctx context.Context, api client.APIClient, project, key string) error {
	all, err := find(ctx, api, project)
	for _, a := range all {
		if a.key == key {
			err = errors.Join(err, a.remove(ctx))
		}
	}
	return err
}

// Start starts the project's agent from the image that the executable goes into, which
// it makes if the engine does not have it, and returns when its control API can be
// reached. The error is ErrExists where another comes first.
func Start(ctx context.Context, api client.APIClient, executable, image string, o Options) (*Agent, error) {
	created, err := create(ctx, api, executable, describe(o, image))
	if errdefs.IsConflict(err) {
		return nil, ErrExists
	}
	if err != nil {
		return nil, fmt.Errorf("create the agent: %w", err)
	}
	a := &Agent{api, created.ID, o.Project, o.Key, o.Directories}
	if err := a.start(ctx); err != nil {
		return nil, errors.Join(err, a.remove(context.WithoutCancel(ctx)))
	}
	return a, nil
}

// imageTries is how often the image is made, which an upall of another version may
// remove before a container has it.
const imageTries = 3

// create creates a container, and its image if the engine does not have it.
func create(ctx context.Context, api client.APIClient, executable string, c client.ContainerCreateOptions) (created client.ContainerCreateResult, err error) {
	for range imageTries {
		if created, err = api.ContainerCreate(ctx, c); !errdefs.IsNotFound(err) {
			break
		}
		if err := makeImage(ctx, api, executable, c.Config.Image); err != nil {
			return created, err
		}
	}
	return created, err
}

// start starts the container and waits for what its supervisor says first.
func (a *Agent) start(ctx context.Context) error {
	attached, err := a.api.ContainerAttach(ctx, a.id, client.ContainerAttachOptions{Stream: true, Stdout: true, Stderr: true})
	if err != nil {
		return fmt.Errorf("listen to the agent: %w", err)
	}
	defer attached.Close()
	if _, err := a.api.ContainerStart(ctx, a.id, client.ContainerStartOptions{}); err != nil {
		return fmt.Errorf("start the agent: %w", err)
	}
	stop := context.AfterFunc(ctx, attached.Close)
	defer stop()
	said, failure := firstLine(attached.Reader)
	switch why, hasFailed := strings.CutPrefix(said, SaysFailed); {
	case ctx.Err() != nil:
		return ctx.Err()
	case said == SaysListening:
		return nil
	case strings.HasPrefix(said, SaysRunning):
		return errors.New(strings.TrimPrefix(said, SaysRunning))
	case hasFailed:
		return errors.New(why)
	}
	return fmt.Errorf("start the agent of project %q: it has ended: %s", a.project, strings.TrimSpace(said+" "+failure))
}

// What a supervisor says first, as one line.
const (
	SaysListening = "listening"
	SaysRunning   = "running " // another one has the project, and its message
	SaysFailed    = "failed "  // and why
)

// firstLine returns the first line of the standard output in a stream of the
// engine's, and else what is in the standard error.
func firstLine(from io.Reader) (line, failure string) {
	source, sink := io.Pipe()
	defer func() { _ = source.Close() }() // ends the copy
	var errOut bytes.Buffer
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		_, err := stdcopy.StdCopy(sink, &errOut, from)
		sink.CloseWithError(err)
	}()
	line, err := bufio.NewReader(source).ReadString('\n')
	if err != nil {
		<-copied
		failure = errOut.String()
	}
	return strings.TrimSpace(line), failure
}

// remove removes the container, whatever its state.
func (a *Agent) remove(ctx context.Context) error {
	_, err := a.api.ContainerRemove(ctx, a.id, client.ContainerRemoveOptions{Force: true})
	if errdefs.IsNotFound(err) || errdefs.IsConflict(err) { // the engine does it itself
		return nil
	}
	return err
}

// AwaitEnd waits until the project, which is over, has no agent.
func AwaitEnd(ctx context.Context, api client.APIClient, project string) error {
	all, err := find(ctx, api, project, container.StateRunning, container.StateRestarting, container.StateRemoving)
	for _, a := range all {
		err = errors.Join(err, a.awaitEnd(ctx))
	}
	return err
}

func (a *Agent) awaitEnd(ctx context.Context) error {
	wait := a.api.ContainerWait(ctx, a.id, client.ContainerWaitOptions{Condition: container.WaitConditionRemoved})
	select {
	case <-wait.Result:
		return nil
	case err := <-wait.Error:
		if errdefs.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("wait for the end of the agent of project %q: %w", a.project, err)
	}
}
