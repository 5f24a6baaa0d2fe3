package bench

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/cli/cli/command"
	"github.com/docker/cli/cli/flags"
	"github.com/docker/compose/v5/cmd/display"
	"github.com/docker/compose/v5/pkg/api"
	sdk "github.com/docker/compose/v5/pkg/compose"

	"upall/internal/testenv"
)

// composeProject is a project of containers that Compose's own implementation
// brings up, in this process: unlike upall, it is not charged for the start of
// one.
type composeProject struct {
	b            *testing.B
	name, folder string
}

func newComposeProject(b *testing.B) *composeProject {
	b.Helper()
	testenv.NeedEngine(b)
	p := &composeProject{b, engineName(), engineFolder(b, containerCount)}
	b.Cleanup(func() { p.take(context.Background(), p.doDown) })
	return p
}

// action is something that Compose does.
type action func(ctx context.Context, compose api.Compose, project *types.Project) error

// take returns the time of all that a command does: it reads Docker's
// configuration, loads the project and acts.
func (p *composeProject) take(ctx context.Context, do action) time.Duration {
	p.b.Helper()
	begin := time.Now()
	cli, err := command.NewDockerCli(command.WithCombinedStreams(io.Discard))
	if err != nil {
		p.b.Fatal(err)
	}
	if err := cli.Initialize(flags.NewClientOptions()); err != nil {
		p.b.Fatal(err)
	}
	defer func() { _ = cli.Client().Close() }() // it has said all
	compose, err := sdk.NewComposeService(cli, sdk.WithEventProcessor(display.Quiet()))
	if err != nil {
		p.b.Fatal(err)
	}
	project, err := compose.LoadProject(ctx, api.ProjectLoadOptions{ProjectName: p.name, WorkingDir: p.folder})
	if err != nil {
		p.b.Fatal(err)
	}
	if err := do(ctx, compose, project); err != nil {
		p.b.Fatal(err)
	}
	return time.Since(begin)
}

// composeCreate is what `docker compose up` asks for.
var composeCreate = api.CreateOptions{
	Recreate: api.RecreateDiverged, RecreateDependencies: api.RecreateDiverged, Inherit: true,
}

func (p *composeProject) create() {
	p.take(p.b.Context(), func(ctx context.Context, compose api.Compose, project *types.Project) error {
		return compose.Create(ctx, project, composeCreate)
	})
}

func (p *composeProject) up() time.Duration {
	return p.take(p.b.Context(), func(ctx context.Context, compose api.Compose, project *types.Project) error {
		return compose.Up(ctx, project, api.UpOptions{Create: composeCreate, Start: api.StartOptions{Project: project}})
	})
}

func (p *composeProject) start() time.Duration {
	return p.take(p.b.Context(), func(ctx context.Context, compose api.Compose, project *types.Project) error {
		return compose.Start(ctx, project.Name, api.StartOptions{Project: project})
	})
}

func (p *composeProject) stop() {
	p.take(p.b.Context(), func(ctx context.Context, compose api.Compose, project *types.Project) error {
		return compose.Stop(ctx, project.Name, api.StopOptions{Project: project, Timeout: new(time.Duration)})
	})
}

func (p *composeProject) down() { p.take(p.b.Context(), p.doDown) }

func (p *composeProject) doDown(ctx context.Context, compose api.Compose, project *types.Project) error {
	return compose.Down(ctx, project.Name, api.DownOptions{Project: project, Timeout: new(time.Duration), Volumes: true})
}
