package supervisor

import (
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"upall/compose"
	"upall/intercept"
	"upall/supervisor/control"
	"upall/supervisor/record"
	"upall/supervisor/status"
)

// countInterval is between looks at how many connects went on at once.
const countInterval = 500 * time.Millisecond

// recording is a board's record of the run. It is guarded by the board's mutex.
type recording struct {
	writer  *record.Writer // nil: there is none
	changed map[status.EdgeKey]status.Edge
	began   time.Time
	written time.Time     // when edges were, last
	known   []status.Edge // of the life before
}

// openRecord begins the record of the run, or goes on with that of the life before.
// Without one the project runs all the same.
func (s *supervisor) openRecord() {
	warn := func(message string) { s.warn("", message) }
	w, err := s.continueRecord(warn)
	if errors.Is(err, fs.ErrNotExist) {
		w, err = record.Create(s.Base, record.Header{Project: s.Project, Upall: s.Version, Started: time.Now()}, warn)
	}
	if err == nil && s.Agent != nil {
		err = record.Give(s.Base, s.Project, s.Agent.Owner)
	}
	if err != nil {
		warn("`upall graph` and `upall timeline` will know nothing of this run: " + err.Error())
	}
	s.board.record(w)
}

// continueRecord goes on with the record of the life before. The error wraps
// fs.ErrNotExist where there is none.
func (s *supervisor) continueRecord(warn func(string)) (*record.Writer, error) {
	if s.Life <= 1 {
		return nil, fs.ErrNotExist
	}
	s.board.known = s.edgesOnRecord()
	return record.Continue(s.Base, s.Project, warn)
}

// isFar tells whether this runs where its owner need not be: nobody reads the records
// there when it has ended.
func (s *supervisor) isFar() bool {
	return s.Agent != nil && !strings.HasPrefix(s.Agent.Engine, "unix://")
}

// maxReread bounds how large a record is read after a crash: services wait.
const maxReread = 256 << 10

// edgesOnRecord are those that the life before has put there, which may be newer
// than what the board has saved.
func (s *supervisor) edgesOnRecord() []status.Edge {
	all, err := record.List(s.Base, s.Project)
	if err != nil || len(all) == 0 {
		return nil
	}
	if stat, err := os.Stat(all[0].Path); err != nil || stat.Size() > maxReread {
		return nil
	}
	run, err := record.Open(s.Base, s.Project, 0)
	if err != nil {
		return nil
	}
	return run.Edges
}

func (b *board) record(w *record.Writer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.writer, b.changed, b.began, b.written = w, map[status.EdgeKey]status.Edge{}, now, now
}

// count asks how many connects went on at once since it was asked last.
func (s *supervisor) count() {
	if s.interceptor != nil {
		s.board.keepTraffic(s.interceptor)
		s.board.count(s.interceptor.Connects(), s.serviceOf)
	}
}

// serviceOf returns the service of an instance, the instance's own name where it is
// of none: the host.
func (s *supervisor) serviceOf(instance string) string {
	if i := s.machine.find(instance); i != nil {
		return i.service.Name
	}
	return instance
}

func (b *board) count(all []intercept.Connects, serviceOf func(string) string) {
	var counts []status.Connects
	for _, c := range all {
		count := status.Connects{
			Client: c.Client, Service: serviceOf(c.Client), Target: c.Target, Port: c.Port,
			Count: c.Count, First: c.First, Last: c.Last,
		}
		if c.Outside.IsValid() {
			count.Address, count.Port = c.Outside.Addr().String(), c.Outside.Port()
		}
		counts = append(counts, count)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.tracker == nil {
		return
	}
	if len(counts) > 0 {
		b.edgesChanged(b.tracker.Count(counts))
		b.isNew = true
		b.saveSoon()
	}
	b.writeEdges(time.Now())
}

// edgesChanged is called with mu held.
func (b *board) edgesChanged(all []status.Edge) {
	for _, e := range all {
		b.recording.changed[e.Key()] = e
	}
}

// writeEdges has the record know how edges are now: ever less often, so that a run
// of days has some hundred lines of each. It is called with mu held.
func (b *board) writeEdges(now time.Time) {
	r := &b.recording
	if interval := max(time.Second, now.Sub(r.began)/10); now.Sub(r.written) >= interval {
		r.flush(now)
	}
}

func (r *recording) flush(now time.Time) {
	all := make([]status.Edge, 0, len(r.changed))
	for _, e := range r.changed {
		all = append(all, e)
	}
	r.writer.Edges(all)
	clear(r.changed)
	r.written = now
}

// closeRecord ends the record: nothing comes after it.
func (b *board) closeRecord() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.recording.flush(time.Now())
	w := b.recording.writer
	b.recording.writer = nil
	return w.Close()
}

// Record is the record of the present run.
func (s *supervisor) Record() (io.ReadCloser, error) {
	s.board.mu.Lock()
	w := s.board.recording.writer
	if w != nil {
		s.board.recording.flush(time.Now())
	}
	s.board.mu.Unlock()
	if w == nil {
		return nil, control.Errorf(http.StatusNotFound, "nothing of this run is on record")
	}
	w.Sync()
	return os.Open(w.Path())
}

// dependenciesOf are those that services have.
func dependenciesOf(services []string, all []compose.Dependency) (own []compose.Dependency) {
	for _, d := range all {
		if slices.Contains(services, d.Client) {
			own = append(own, d)
		}
	}
	return own
}
