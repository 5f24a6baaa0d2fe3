package engine

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"

	"upall/compose"
	"upall/internal/linux"
	"upall/supervisor/health"
)

const (
	// probeVariable marks the processes of a probe, so that those which have left
	// it are found too.
	probeVariable = "UPALL_PROBE"
	// noCode is the exit code of a probe that has none.
	noCode = -1
	// killInterval is how often a probe is killed until it is gone: one that the
	// engine is about to start cannot be found yet.
	killInterval = 50 * time.Millisecond
	// killLimit is how long that may take.
	killLimit = 30 * time.Second
)

// Probe runs the command of a healthcheck once in an instance's container, as the
// engine does: by the container's user, in its directory, with its environment.
// When ctx ends, all that the command has started is killed. h is what
// Healthcheck has returned.
func (r *Runtime) Probe(ctx context.Context, instance string, h compose.Healthcheck) health.Result {
	c, err := r.container(instance)
	if err != nil {
		return health.Result{Code: noCode, Err: err.Error()}
	}
	command := h.Test
	if h.Shell != "" {
		command = append(compose.DefaultShell(), h.Shell)
	}
	var output health.Tail
	code, err := r.Engine.exec(ctx, c.id, command, &output)
	if err != nil {
		return health.Result{Code: noCode, Output: output.String(), Err: fmt.Sprintf("check %s: %v", instance, err)}
	}
	return health.Result{Code: code, Output: output.String()}
}

// exec runs a command in a container and returns its exit code.
func (e *Engine) exec(ctx context.Context, container string, command []string, output io.Writer) (code int, err error) {
	x := &execution{Engine: e, mark: probeVariable + "=" + rand.Text(), ended: make(chan struct{})}
	created, err := e.api.ExecCreate(ctx, container, client.ExecCreateOptions{
		Cmd: command, Env: []string{x.mark}, AttachStdout: true, AttachStderr: true,
	})
	if err != nil {
		return noCode, err
	}
	x.id = created.ID
	// From here on the command may run, whatever becomes of ctx.
	attached, err := e.api.ExecAttach(context.WithoutCancel(ctx), x.id, client.ExecAttachOptions{})
	if err != nil {
		return noCode, err
	}
	var copying error
	go func() {
		defer close(x.ended)
		_, copying = stdcopy.StdCopy(output, output, attached.Reader)
	}()
	select {
	case <-x.ended:
	case <-ctx.Done():
	}
	code, err = x.settle(ctx)
	attached.Close() // ends the copy where the command goes on
	<-x.ended
	if err == nil {
		err = copying
	}
	return code, err
}

// execution is a command that the engine runs in a container.
type execution struct {
	*Engine
	id, mark string
	ended    chan struct{} // closed when its output has
}

// settle waits until the engine knows how the command has ended. Once ctx is
// over, it kills it.
func (x *execution) settle(ctx context.Context) (code int, err error) {
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), killLimit)
	defer cancel()
	again := time.NewTicker(killInterval)
	defer again.Stop()
	ended := x.ended
	for {
		select {
		case <-ended:
			ended = nil
		default:
		}
		now, err := x.api.ExecInspect(limited, x.id, client.ExecInspectOptions{})
		if err != nil {
			return noCode, err
		}
		if !now.Running && ended == nil { // else it is about to start
			return now.ExitCode, nil
		}
		if ctx.Err() != nil {
			if err := x.kill(limited, now.PID); err != nil {
				return noCode, fmt.Errorf("kill its command: %w", err)
			}
		}
		select {
		case <-ended:
		case <-again.C:
		case <-limited.Done():
			return noCode, errors.New("its command does not end")
		}
	}
}

// kill kills what there is of the command now. The engine has no call for it.
func (x *execution) kill(ctx context.Context, pid int) (err error) {
	if pid > 0 {
		err = linux.KillIf(pid, func() (bool, error) {
			now, err := x.api.ExecInspect(ctx, x.id, client.ExecInspectOptions{})
			return err == nil && now.Running && now.PID == pid, err
		})
	}
	return errors.Join(err, linux.KillMarked(x.mark))
}
