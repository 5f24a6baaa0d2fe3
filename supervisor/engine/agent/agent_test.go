package agent

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
)

// creator is an engine whose image may be gone when a container is created.
type creator struct {
	client.APIClient
	answers []error // of the creations, the last for all that follow

	created, made int
}

func (c *creator) ImageImport(_ context.Context, source client.ImageImportSource, _ string, _ client.ImageImportOptions) (client.ImageImportResult, error) {
	c.made++
	_, err := io.Copy(io.Discard, source.Source)
	return io.NopCloser(strings.NewReader("")), err
}

func (c *creator) ImageList(context.Context, client.ImageListOptions) (client.ImageListResult, error) {
	return client.ImageListResult{}, nil
}

func (c *creator) ContainerCreate(context.Context, client.ContainerCreateOptions) (client.ContainerCreateResult, error) {
	answer := c.answers[min(c.created, len(c.answers)-1)]
	c.created++
	return client.ContainerCreateResult{ID: "id"}, answer
}

// An upall of another version may remove the image between a look for it and its use.
func TestCreate(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answers []error
		want    error
		tries   int
		made    int
	}{
		"image is there": {[]error{nil}, nil, 1, 0},
		"no image":       {[]error{errdefs.ErrNotFound, nil}, nil, 2, 1},
		"image removed":  {[]error{errdefs.ErrNotFound, errdefs.ErrNotFound, nil}, nil, 3, 2},
		"never there":    {[]error{errdefs.ErrNotFound}, errdefs.ErrNotFound, imageTries, imageTries},
		"another is":     {[]error{errdefs.ErrConflict}, errdefs.ErrConflict, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			engine := &creator{answers: test.answers}
			created, err := create(t.Context(), engine, write(t, "the program"), describe(Options{Project: "shop", Directories: Shared()}, "upall-agent:0123"))
			if !errors.Is(err, test.want) || err == nil && created.ID != "id" {
				t.Errorf("created %q (%v), want %v", created.ID, err, test.want)
			}
			if engine.created != test.tries || engine.made != test.made {
				t.Errorf("%d creations and %d images made, want %d and %d", engine.created, engine.made, test.tries, test.made)
			}
		})
	}
}

// Whose agent is not the first one is told so, as everybody who starts one expects.
func TestStartExists(t *testing.T) {
	t.Parallel()
	engine := &creator{answers: []error{errdefs.ErrConflict}}
	if _, err := Start(t.Context(), engine, write(t, "the program"), "upall-agent:0123", Options{Project: "shop", Directories: Shared()}); !errors.Is(err, ErrExists) {
		t.Errorf("the error is %v, want ErrExists", err)
	}
}
