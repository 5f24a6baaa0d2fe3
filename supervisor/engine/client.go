package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/docker/cli/cli/command"
	"github.com/docker/cli/cli/flags"
	"github.com/docker/compose/v5/pkg/api"
	"github.com/docker/compose/v5/pkg/compose"
	"github.com/moby/moby/client"
	"github.com/moby/moby/client/pkg/versions"
	"github.com/sirupsen/logrus"
)

// listenerPathAPI is the first version of the engine's API whose engines (23.0
// and later) give a seccomp profile's listenerPath to the container runtime.
const listenerPathAPI = "1.42"

// Streams are what commands read and write.
type Streams struct {
	In       io.ReadCloser
	Out, Err io.Writer
}

// NoStreams are for who reads and writes nothing.
func NoStreams() Streams {
	return Streams{In: io.NopCloser(strings.NewReader("")), Out: io.Discard, Err: io.Discard}
}

// Engine is a connection to a Docker Engine. Make one with Open.
type Engine struct {
	cli  *command.DockerCli
	api  client.APIClient
	info client.SystemInfoResult

	newest string // API version of the engine
}

// Open connects to the engine that DOCKER_HOST, DOCKER_CONTEXT or the current
// Docker context names, as docker does. The error says what to do.
func Open(ctx context.Context, s Streams) (*Engine, error) {
	cli, err := newCLI(s)
	if err != nil {
		return nil, err
	}
	e := &Engine{cli: cli, api: cli.Client()}
	version, err := e.api.ServerVersion(ctx, client.ServerVersionOptions{})
	if err == nil {
		e.newest = version.APIVersion
		e.info, err = e.api.Info(ctx, client.InfoOptions{})
	}
	if err != nil {
		return nil, errors.Join(explain(e.api.DaemonHost(), err), e.api.Close())
	}
	return e, nil
}

func newCLI(s Streams) (*command.DockerCli, error) {
	cli, err := command.NewDockerCli(command.WithInputStream(s.In), command.WithOutputStream(s.Out), command.WithErrorStream(s.Err))
	if err != nil {
		return nil, fmt.Errorf("read Docker's configuration: %w", err)
	}
	logrus.SetFormatter(ownWords{}) // the SDK's warnings
	if err := cli.Initialize(flags.NewClientOptions()); err != nil {
		return nil, fmt.Errorf("read Docker's configuration: %w", err)
	}
	return cli, nil
}

// ownWords writes what the SDK logs as upall's own lines.
type ownWords struct{}

func (ownWords) Format(e *logrus.Entry) ([]byte, error) {
	return fmt.Appendf(nil, "upall: %s: %s\n", e.Level, e.Message), nil
}

// explain says why the engine does not answer, and what to do.
func explain(host string, err error) error {
	switch {
	case errors.Is(err, os.ErrPermission) || strings.Contains(err.Error(), "permission denied"):
		return fmt.Errorf("reach the Docker Engine at %s: permission denied (run upall as root, or join the group docker)", host)
	case errors.Is(err, os.ErrNotExist) || client.IsErrConnectionFailed(err):
		return fmt.Errorf("reach the Docker Engine at %s: it does not run there (start it, or set DOCKER_HOST)", host)
	}
	return fmt.Errorf("reach the Docker Engine at %s: %w", host, err)
}

// Close closes the connection.
func (e *Engine) Close() error { return e.api.Close() }

// API is the client that the connection is.
func (e *Engine) API() client.APIClient { return e.api }

// Host is the engine's address, as "unix:///var/run/docker.sock".
func (e *Engine) Host() string { return e.api.DaemonHost() }

// Ping returns an error if the engine takes no requests any more. Over connections
// that it has it may still answer while it ends.
func (e *Engine) Ping(ctx context.Context) error {
	fresh, err := client.New(client.WithHost(e.Host()))
	if err != nil {
		return err
	}
	_, err = fresh.Ping(ctx, client.PingOptions{})
	return errors.Join(err, fresh.Close())
}

// Host returns the address of the engine that Open connects to, without asking it.
func Host() (string, error) {
	cli, err := newCLI(NoStreams())
	if err != nil {
		return "", err
	}
	return cli.Client().DaemonHost(), cli.Client().Close()
}

// ID is the engine's own name of itself.
func (e *Engine) ID() string { return e.info.Info.ID }

// HasAppArmor tells whether the engine confines containers with AppArmor.
func (e *Engine) HasAppArmor() bool { return e.hasSecurity("apparmor") }

// IsRootless tells whether the engine runs in a user namespace of an ordinary user.
func (e *Engine) IsRootless() bool { return e.hasSecurity("rootless") }

// hasSecurity looks for a security option, as "name=seccomp,profile=builtin".
func (e *Engine) hasSecurity(name string) bool {
	return slices.ContainsFunc(e.info.Info.SecurityOptions, func(o string) bool {
		first, _, _ := strings.Cut(o, ",")
		return first == "name="+name
	})
}

// Version is the engine's version, as "26.1.5".
func (e *Engine) Version() string { return e.info.Info.ServerVersion }

// HasListenerPath tells whether the engine hands notifyFDs over by itself.
// Older ones need the shim in front of the container's program.
func (e *Engine) HasListenerPath() bool {
	return versions.GreaterThanOrEqualTo(e.newest, listenerPathAPI)
}

// NotLocal says why upall cannot reach the processes of the engine's containers,
// nil when it can try.
func (e *Engine) NotLocal() error {
	if err := e.NotHere(); err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return errors.New("looking into containers needs root")
	}
	return nil
}

// NotHere says why the engine's containers do not run on this machine's kernel,
// nil when they do.
func (e *Engine) NotHere() error {
	host := e.api.DaemonHost()
	switch {
	case !strings.HasPrefix(host, "unix://"):
		return fmt.Errorf("the Docker Engine at %s is not on this machine", host)
	case strings.Contains(e.info.Info.OperatingSystem, "Docker Desktop"):
		return errors.New("the containers of Docker Desktop run in a virtual machine")
	case e.IsRootless():
		return errors.New("a rootless engine has namespaces of its own")
	}
	return nil
}

// service makes Compose's implementation on top of an API client.
func (e *Engine) service(on client.APIClient, options ...compose.Option) (api.Compose, error) {
	s, err := compose.NewComposeService(&cliWith{e.cli, on}, options...)
	if err != nil {
		return nil, fmt.Errorf("prepare Compose: %w", err)
	}
	return s, nil
}

// cliWith is Docker's command line with another API client.
type cliWith struct {
	command.Cli
	api client.APIClient
}

func (c *cliWith) Client() client.APIClient { return c.api }
