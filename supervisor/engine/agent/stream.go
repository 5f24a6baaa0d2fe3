package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"

	"upall/supervisor/health"
)

// Dial connects to the agent's control API: a command in the container passes on
// what its standard input and output carry. The error wraps fs.ErrNotExist when the
// container is gone.
func (a *Agent) Dial(ctx context.Context) (net.Conn, error) {
	created, err := a.api.ExecCreate(ctx, a.id, client.ExecCreateOptions{
		Cmd:         []string{"/" + program, "relay", a.Socket()},
		AttachStdin: true, AttachStdout: true, AttachStderr: true,
	})
	if errdefs.IsNotFound(err) || errdefs.IsConflict(err) { // it does not run any more
		return nil, fmt.Errorf("%w: the agent of project %q has ended", fs.ErrNotExist, a.project)
	}
	if err != nil {
		return nil, fmt.Errorf("reach the agent of project %q: %w", a.project, err)
	}
	// The connection outlives the dialling.
	attached, err := a.api.ExecAttach(context.WithoutCancel(ctx), created.ID, client.ExecAttachOptions{})
	if err != nil {
		return nil, fmt.Errorf("reach the agent of project %q: %w", a.project, err)
	}
	return newStream(attached.HijackedResponse), nil
}

// stream is a connection to a command in a container.
type stream struct {
	attached client.HijackedResponse
	output   *io.PipeReader
}

func newStream(attached client.HijackedResponse) *stream {
	output, sink := io.Pipe()
	var said health.Tail
	go func() {
		_, err := stdcopy.StdCopy(sink, &said, attached.Reader)
		if why := strings.TrimSpace(said.String()); err == nil && why != "" {
			err = errors.New(why)
		}
		sink.CloseWithError(err) // io.EOF for nil
	}()
	return &stream{attached, output}
}

func (s *stream) Read(p []byte) (int, error)  { return s.output.Read(p) }
func (s *stream) Write(p []byte) (int, error) { return s.attached.Conn.Write(p) }

// Close ends the command, whose standard input ends.
func (s *stream) Close() error {
	s.attached.Close()
	return s.output.Close()
}

func (s *stream) LocalAddr() net.Addr  { return s.attached.Conn.LocalAddr() }
func (s *stream) RemoteAddr() net.Addr { return s.attached.Conn.RemoteAddr() }

// SetDeadline and the others do nothing: an HTTP client bounds its requests by their
// contexts, which close the connection.
func (s *stream) SetDeadline(time.Time) error      { return nil }
func (s *stream) SetReadDeadline(time.Time) error  { return nil }
func (s *stream) SetWriteDeadline(time.Time) error { return nil }
