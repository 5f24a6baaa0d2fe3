package engine

import (
	"context"
	"io"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"

	"upall/internal/lines"
)

// attach tells the output of a container that is about to start.
func (r *Runtime) attach(ctx context.Context, id string) {
	c, ok := r.byID(id)
	if !ok {
		return
	}
	attached, err := r.Engine.api.ContainerAttach(ctx, id, client.ContainerAttachOptions{Stream: true, Stdout: true, Stderr: true})
	if err != nil {
		r.Logger.Warn("attach to a container", "instance", c.instance, "error", err)
		return
	}
	r.mu.Lock()
	r.attached[id] = true
	r.mu.Unlock()
	r.tell(c, attached.Reader, func() error { attached.Close(); return nil })
}

// isAttached tells whether attach has been called for the start that is told now.
func (r *Runtime) isAttached(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	was := r.attached[id]
	delete(r.attached, id)
	return was
}

// follow tells the output of a container that somebody else has started, from
// the end of its last run on: the first lines are older than the start that the
// engine notes.
func (r *Runtime) follow(ctx context.Context, c ref, lastEnd time.Time) {
	since := lastEnd.Format(time.RFC3339Nano)
	if lastEnd.IsZero() {
		inspected, err := r.Engine.api.ContainerInspect(ctx, c.id, client.ContainerInspectOptions{})
		if err != nil || inspected.Container.State == nil {
			return // it is gone again
		}
		since = inspected.Container.State.FinishedAt // of the run before, while it runs
		if !inspected.Container.State.Running {
			since = inspected.Container.State.StartedAt
		}
	}
	logs, err := r.Engine.api.ContainerLogs(ctx, c.id, client.ContainerLogsOptions{
		ShowStdout: true, ShowStderr: true, Follow: true, Since: since,
	})
	if err == nil {
		r.tell(c, logs, logs.Close)
		return
	}
	// A log driver that cannot be read. The first lines may be lost.
	attached, err := r.Engine.api.ContainerAttach(ctx, c.id, client.ContainerAttachOptions{Stream: true, Stdout: true, Stderr: true})
	if err != nil {
		r.Logger.Warn("read the output of a container", "instance", c.instance, "error", err)
		return
	}
	r.tell(c, attached.Reader, func() error { attached.Close(); return nil })
}

func (r *Runtime) tell(c ref, from io.Reader, closing func() error) {
	hasTTY := r.project.Services[c.service].Tty
	r.outputs.Go(func() {
		out := lines.NewWriter(func(line string) { r.Output(c.service, c.instance, "stdout", line) })
		errOut := lines.NewWriter(func(line string) { r.Output(c.service, c.instance, "stderr", line) })
		var err error
		if hasTTY { // one stream, as the terminal has it
			_, err = io.Copy(out, from)
		} else {
			_, err = stdcopy.StdCopy(out, errOut, from)
		}
		out.Flush()
		errOut.Flush()
		if err != nil {
			r.Logger.Info("output of a container", "instance", c.instance, "error", err)
		}
		if err := closing(); err != nil {
			r.Logger.Info("close the output of a container", "instance", c.instance, "error", err)
		}
	})
}

func (r *Runtime) byID(id string) (ref, bool) {
	for _, c := range r.refs {
		if c.id == id {
			return c, true
		}
	}
	return ref{}, false
}
