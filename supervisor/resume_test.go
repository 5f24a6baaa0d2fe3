package supervisor

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"upall/compose"
	"upall/internal/event"
	"upall/supervisor/control"
	"upall/supervisor/engine"
)

// While the engine does not answer after a crash, who never listens becomes ready, and
// what is told is kept for later.
func TestResumeWithoutEngine(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "board.json")
	synctest.Test(t, func(t *testing.T) {
		plan := workers()
		plan.Services = append(plan.Services, compose.Service{Name: "box", Runtime: compose.Engine, Instances: []compose.Instance{{Name: "box-1"}}})
		kill := make(chan struct{})
		s := &supervisor{
			Config: Config{Kill: kill, OpenEngine: func(context.Context) (*engine.Engine, error) { return nil, errors.New("it is away") }},
			ctx:    t.Context(), board: boardOf(path), inputs: make(chan any), over: make(chan struct{}),
			spec: &control.Spec{Plan: plan}, plan: plan, runners: map[compose.Runtime]runner{},
		}
		s.bus = event.NewBus(s.board.consume)
		s.board.follow(plan, true)
		s.board.told(startOfWorker(time.Now())...)

		var late []any
		done := make(chan struct{})
		go func() {
			defer close(done)
			late = s.resumeContainers(&resume{})
		}()
		s.give(edge{"worker", "db"})
		time.Sleep(2 * time.Second) //nolint:forbidigo // inside a synctest bubble
		if i := s.board.snapshot().Instances[0]; i.State != event.StateReady {
			t.Errorf("%s is %s (%s) after its quiet second, want ready", i.Instance, i.State, i.Missing)
		}
		close(kill)
		<-done
		s.bus.Close()
		if want := []any{edge{"worker", "db"}, readied{"worker-1"}}; !slices.Equal(late, want) {
			t.Errorf("for later are %v, want %v", late, want)
		}
	})
}
