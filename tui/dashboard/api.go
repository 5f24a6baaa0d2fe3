package dashboard

import (
	"context"
	"io"
	"time"

	"upall/supervisor/control"
)

// API is what the dashboard needs of a project's supervisor; a control.Client is one.
type API interface {
	Snapshot(ctx context.Context) (control.Snapshot, error)
	Follow(ctx context.Context, o control.FollowOptions, handle func(control.Record) error) error
	Stats(ctx context.Context, interval time.Duration, handle func(control.Stats) error) error
	Record(ctx context.Context) (io.ReadCloser, error)
	Service(ctx context.Context, name string) (control.ServiceInfo, error)
	Act(ctx context.Context, a control.Action) (seq uint64, err error)
}
