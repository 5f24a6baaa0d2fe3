package process

import (
	"context"
	"io"

	"upall/compose"
	"upall/supervisor/health"
)

// noCode is the exit code of a probe that could not be made.
const noCode = -1

// Probe runs the command of a healthcheck once, as the instance is run: by the
// same user, with its environment, directory, names and addresses, and known to
// the interceptor by the same metadata. When ctx ends, all that the command has
// started is killed. It ends with this process too. One probe of an instance at a
// time; Run and Output of l have no meaning here.
func (r *Runtime) Probe(ctx context.Context, l Launch, h compose.Healthcheck) health.Result {
	// A file of its own, for the instance may be starting.
	start, err := r.prepareLaunch(l, l.Instance.Name+".probe")
	if err != nil {
		return health.Result{Code: noCode, Err: err.Error()}
	}
	start.command = h.Test
	if h.Shell != "" {
		start.command = append(compose.DefaultShell(), h.Shell)
	}
	var output health.Tail
	start.output = func(_, line string) {
		_, _ = io.WriteString(&output, line+"\n") // it never fails
	}
	p, err := start.start()
	if err != nil {
		return health.Result{Code: noCode, Err: err.Error()}
	}
	stop := context.AfterFunc(ctx, func() {
		if err := p.Kill(); err != nil {
			r.Logger.Error("kill a healthcheck", "instance", l.Instance.Name, "error", err)
		}
	})
	defer stop()
	code := p.Wait()
	return health.Result{Code: code, Output: output.String()}
}
