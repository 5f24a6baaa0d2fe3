package supervisor

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"upall/compose"
	"upall/intercept"
	"upall/internal/event"
	"upall/internal/linux"
	"upall/supervisor/control"
	"upall/supervisor/engine"
	"upall/supervisor/forward"
	"upall/supervisor/process"
	"upall/supervisor/record"
)

// Keep is where descriptors survive this process. Its fds stay the caller's.
type Keep interface {
	Put(name string, data []byte, fds ...int) error
	Drop(name string) error
}

// Kept is what an earlier life of the supervisor has put into the Keep.
type Kept struct {
	Name string
	Data []byte
	FDs  []*linux.FD
}

// Config is for Serve.
type Config struct {
	Project string // its name
	Base    string // where state directories are
	// ShimDirectory is where the shim is for as long as containers exist.
	ShimDirectory string
	// ContainerKey tells an agent's container from others of the project.
	ContainerKey string
	Version      string // of upall
	// Agent says in which container this is; nil: in none.
	Agent *control.Agent
	// Opened is called with a directory of the supervisor's own, and returns where
	// to log to.
	Opened func(dir string) *slog.Logger
	Logger *slog.Logger // until then
	// OpenEngine connects to the Docker Engine; it is called once a project has
	// containers.
	OpenEngine func(context.Context) (*engine.Engine, error)

	Keep       Keep // nil: nothing survives this process
	Kept       []Kept
	KeeperGone <-chan struct{} // closed when the keeper has died; may be nil
	Life       int             // counts the supervisors of this project from 1
	KeeperPID  int
	// Listening is called when the control API can be reached.
	Listening func()
	// End has the supervisor end as a stop of the project does, when closed; Kill
	// at once.
	End, Kill <-chan struct{}
}

// supervisor is one project's. Its fields are of the loop, but for those that say
// otherwise.
type supervisor struct {
	Config
	ctx     context.Context // bounds the life of all that is opened; of all
	state   *process.State  // of all
	bus     *event.Bus      // of all
	board   *board          // of all
	serving *serving        // of all
	inputs  chan any        // to the loop: inputs of the machine, and functions
	over    chan struct{}   // closed when nobody takes inputs any more; of all

	overOnce sync.Once

	// What Apply has set. Nil before.
	spec        *control.Spec
	specFile    string          // where it is saved
	untold      map[string]bool // instances whose start the life before may not have told
	isUnsaved   bool            // the life before has died between the first Spec and what it made of it
	plan        *compose.Plan
	machine     *machine
	runners     map[compose.Runtime]runner
	engine      *engine.Engine
	interceptor *intercept.Interceptor                // nil without interception
	counting    atomic.Pointer[intercept.Interceptor] // the same, for those who ask for samples
	forwarders  map[published]*forward.Forwarder
	meeting     meeting
	metadata    map[string]string               // instance -> hand-over metadata
	cannotPark  error                           // why, nil where connects can be parked
	checks      map[string]*compose.Healthcheck // by instance
	probers     map[string]*prober
	work        sync.WaitGroup // probes, and what else goes on beside the loop

	waiters                                   []waiter // for actions to be done
	savedAt                                   time.Time
	isOverTold, isTellingOver, isStoppingTold bool
	isUp                                      bool          // every instance was started, since the last Apply
	wasUp                                     bool          // ever
	failed                                    error         // what keeps the project from coming up
	ending                                    bool          // the supervisor ends with its project
	forgets                                   bool          // and removes its records
	returned                                  chan struct{} // closed when the project has come back; nil: it does not
	leaving                                   string        // why it ends with the engine, "" while it does not
	hasLeft                                   bool          // and nothing runs any more

	saidUnsaved bool
	wasIdle     bool // when it was looked last
}

// runner starts and ends the programs of one runtime. What becomes of them it
// gives to the machine as inputs. Its methods return at once, and are called by
// one goroutine.
type runner interface {
	// start starts instances at the same moment.
	start(all []*instance)
	// stop asks instances to end.
	stop(all []*instance)
	kill(i *instance)
	// signal sends any other signal. What it returns may take its time, and is called
	// beside the loop.
	signal(i *instance, sig syscall.Signal) (sent func() error)
	// forget drops what is kept of an instance's run, whose end is on record.
	forget(i *instance)
	// finish waits until what was asked of it is done.
	finish()
	// close waits until nothing of the runner goes on, when the context is over.
	close()
}

// Serve is the supervisor of a project: it takes what the project is to be over
// the control API, and returns when it was asked to end and nothing of the project
// runs any more. It goes on with what an earlier life has left in the Keep. The error
// is ErrEngineEnds where it ends with the engine; another one means that there is no
// supervisor, and may wrap process.ErrRunning.
func Serve(ctx context.Context, c Config) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	s := &supervisor{
		Config: c, ctx: ctx, inputs: make(chan any), over: make(chan struct{}),
		runners: map[compose.Runtime]runner{}, forwarders: map[published]*forward.Forwarder{},
		metadata: map[string]string{}, probers: map[string]*prober{}, untold: map[string]bool{},
	}
	remains := s.findRemains()
	if err := s.openState(); err != nil {
		cancel()
		return err
	}
	defer func() { err = errors.Join(err, s.close(cancel)) }()
	switch {
	case remains != nil:
		s.returned = make(chan struct{})
		if err := s.keepRemains(remains); err != nil {
			return err
		}
	case c.Life > 1:
		if err := s.resume(); err != nil {
			return err
		}
	}
	if err := s.openControl(); err != nil { // who asks is told of a project that is known
		return err
	}
	if s.spec != nil {
		late, err := s.resumeRuntimes()
		if err != nil {
			return err
		}
		s.resumeProject(late)
	}
	if remains != nil {
		s.comeBack(remains)
	}
	if c.Listening != nil {
		c.Listening()
	}
	s.run()
	s.count()
	s.takeNoMore() // else the bus would wait for who gives an input
	s.bus.Close()
	if err = s.serving.close(); s.hasLeft {
		err = errors.Join(err, ErrEngineEnds)
	}
	return err
}

// close ends what was opened.
func (s *supervisor) close(cancel func()) error {
	s.takeNoMore()
	var errs []error
	for _, f := range s.forwarders {
		errs = append(errs, f.Close())
	}
	for _, r := range s.runners {
		r.finish()
	}
	cancel()
	for _, r := range s.runners {
		r.close()
	}
	s.work.Wait()
	if s.interceptor != nil {
		errs = append(errs, s.interceptor.Close())
	}
	errs = append(errs, s.meeting.close())
	if s.engine != nil {
		errs = append(errs, s.engine.Close())
	}
	errs = append(errs, s.board.close(), s.closeState())
	if s.forgets || s.isFar() {
		errs = append(errs, record.Remove(s.Base, s.Project))
	}
	return errors.Join(errs...)
}

// statePath is a file of this supervisor's own.
func (s *supervisor) statePath(name string) string {
	return s.state.Private() + string(os.PathSeparator) + name
}
