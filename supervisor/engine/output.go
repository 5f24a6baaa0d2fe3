package engine

import (
	"context"
	"errors"
	"sync"
	"time"

	cerrdefs "github.com/containerd/errdefs"
)

// outputs tells what containers write, one goroutine a container. It reads the
// engine's logs: they have the time of each line, so that a later process can go
// on where this one ended.
type outputs struct {
	*Runtime
	ctx    context.Context // until close
	cancel func()
	work   sync.WaitGroup

	mu      sync.Mutex      // guards readers
	readers map[string]bool // by the container's ID; true: there is another run to read
}

func newOutputs(ctx context.Context, r *Runtime) *outputs {
	o := &outputs{Runtime: r, readers: map[string]bool{}}
	// Lines that were written before the end are read after it.
	o.ctx, o.cancel = context.WithCancel(context.WithoutCancel(ctx))
	return o
}

// Wait waits until the output of all containers has been told, after their end.
func (r *Runtime) Wait() { r.outputs.work.Wait() }

func (o *outputs) close() {
	o.cancel()
	o.work.Wait()
}

// prepare is for a container that is about to start.
func (o *outputs) prepare(c ref) {
	if o.isRead(c) {
		return // goes on
	}
	if !o.present.Load().isReadable(c) {
		o.attach(c)
		return
	}
	if !o.HasAgent && o.Engine.NotHere() != nil {
		return // it has a clock of its own
	}
	o.warnIf("prepare to read output", c, o.mark(c, time.Now(), true)) // no line of earlier runs
}

// mark notes that all output until a time is told or of no interest; if something
// is known, only when it replaces that.
func (o *outputs) mark(c ref, at time.Time, replaces bool) error {
	s, err := openSeen(o.Directory, c)
	if err != nil {
		return err
	}
	if replaces || len(s.at) == 0 {
		err = s.begin(c, at)
	}
	return errors.Join(err, s.close())
}

func (o *outputs) isRead(c ref) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, is := o.readers[c.id]
	return is
}

// follow tells the output of a container that runs. One that is read already is
// read on after its end, for it may be another run.
func (o *outputs) follow(c ref) {
	read := o.readRun
	if !o.present.Load().isReadable(c) {
		read = o.readAttached
	}
	o.begin(c, func() { o.readRuns(c, read) })
}

// readRuns reads one run after the other.
func (o *outputs) readRuns(c ref, read func(ref) error) {
	for isAgain := true; isAgain; isAgain = o.end(c) {
		o.warnIf("read the output of a container", c, read(c))
	}
}

// resume tells the output of a container that runs and that nobody reads yet,
// from where it was told last, if that is known, else since a time.
func (o *outputs) resume(c ref, since time.Time) {
	if o.isRead(c) {
		return
	}
	o.warnIf("prepare to read output", c, o.mark(c, since, false))
	o.follow(c)
}

// finish tells what has not been told of the output of a container that has
// ended, if nobody reads it: it has ended before this process was there.
func (o *outputs) finish(c ref) {
	if !o.isRead(c) && o.present.Load().isReadable(c) {
		o.follow(c)
	}
}

// begin begins to read. What is read already has another run.
func (o *outputs) begin(c ref, read func()) (begun bool) {
	if o.present.Load().services[c.service] == nil {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, is := o.readers[c.id]; is {
		o.readers[c.id] = true
		return false
	}
	o.readers[c.id] = false
	o.work.Go(read)
	return true
}

// end tells whether there is another run to read.
func (o *outputs) end(c ref) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	isAgain := o.readers[c.id] && o.ctx.Err() == nil
	if isAgain {
		o.readers[c.id] = false
	} else {
		delete(o.readers, c.id)
	}
	return isAgain
}

// readRun tells what has not been told of a container's output until it ends.
func (o *outputs) readRun(c ref) error {
	s, err := openSeen(o.Directory, c)
	if err != nil {
		return err
	}
	defer func() { o.warnIf("note what was read", c, s.close()) }()
	if len(s.at) == 0 {
		d, err := o.Engine.details(o.ctx, c.id)
		if err != nil {
			return err
		}
		// The first lines are older than the start that the engine notes, but not
		// than the end of the run before.
		if err := s.begin(c, d.Finished); err != nil {
			return err
		}
	}
	var failed error // of noting what was read
	err = o.Engine.readLog(o.ctx, c, o.present.Load().hasTTY(c), LogQuery{Since: s.since(), Tail: AllLines, Follow: true}, func(l Line) {
		if !s.isNew(l.Stream, l.At) {
			return
		}
		o.Output(l)
		if err := s.add(l.Stream, l.At); err != nil {
			failed = err
		}
	})
	o.warnIf("note what was read", c, failed)
	if cerrdefs.IsNotImplemented(err) {
		return o.readAttached(c)
	}
	return err
}

func (p *present) hasTTY(c ref) bool { return p.project.Services[c.service].Tty }

func (o *outputs) warnIf(what string, c ref, err error) {
	if err != nil && o.ctx.Err() == nil {
		o.Logger.Warn(what, "instance", c.instance, "error", err)
	}
}
