package dashboard

import (
	"slices"
	"strings"
	"time"

	"upall/internal/event"
	"upall/supervisor/control"
	"upall/supervisor/record"
	"upall/supervisor/status"
	"upall/supervisor/timeline"
)

// maxEvents is how many events are kept of each service.
const maxEvents = 200

// state is what is known of the project. Views draw it.
type state struct {
	now      time.Time
	snapshot control.Snapshot
	isKnown  bool // snapshot is one
	isGone   bool // nothing more comes from the project

	stats   control.Stats
	use     map[string]control.InstanceStats // by instance
	traffic map[status.EdgeKey]*history

	log    *ring
	events map[string][]event.Event // by service, oldest first
	last   map[string]string        // by instance, the last line that it has written
	run    *record.Run
	line   *timeline.Timeline
}

func newState() *state {
	return &state{
		use: map[string]control.InstanceStats{}, traffic: map[status.EdgeKey]*history{},
		log: newRing(maxLines, maxLineBytes), events: map[string][]event.Event{}, last: map[string]string{},
	}
}

func (s *state) takeSnapshot(now control.Snapshot) {
	s.snapshot, s.isKnown = now, true
	for service := range s.events {
		if !slices.ContainsFunc(now.Instances, func(i status.Status) bool { return i.Service == service }) {
			delete(s.events, service)
		}
	}
	for instance := range s.last {
		if !slices.ContainsFunc(now.Instances, func(i status.Status) bool { return i.Instance == instance }) {
			delete(s.last, instance)
		}
	}
}

func (s *state) takeBatch(b batchMsg) {
	for _, l := range b.lines {
		s.log.push(l)
		if strings.TrimSpace(l.plain) != "" {
			s.last[l.instance] = l.plain
		}
	}
	s.log.neverShown += uint64(b.lost) //nolint:gosec // a count
	for _, e := range b.events {
		if e.Type == event.Dropped {
			s.log.neverShown += uint64(e.Count) //nolint:gosec // a count
		}
		if e.Service == "" {
			continue
		}
		all := append(s.events[e.Service], e)
		if len(all) > 2*maxEvents {
			all = slices.Clone(all[len(all)-maxEvents:])
		}
		s.events[e.Service] = all
	}
}

func (s *state) takeStats(sample control.Stats) {
	s.stats = sample
	clear(s.use)
	for _, i := range sample.Instances {
		s.use[i.Instance] = i
	}
	seen := map[status.EdgeKey]bool{}
	for _, e := range sample.Edges {
		key := e.Key()
		seen[key] = true
		if s.traffic[key] == nil {
			s.traffic[key] = &history{}
		}
		if sample.Interval > 0 {
			s.traffic[key].add(e.SentPerSecond + e.ReceivedPerSecond)
		}
	}
	for key := range s.traffic {
		if !seen[key] {
			delete(s.traffic, key)
		}
	}
}

// of returns the sample of an edge, nil if there is none.
func (s *state) of(key status.EdgeKey) *control.EdgeStats {
	for n := range s.stats.Edges {
		if s.stats.Edges[n].Key() == key {
			return &s.stats.Edges[n]
		}
	}
	return nil
}

// ready counts the instances that are ready or have ended well, of those that are
// wanted.
func (s *state) ready() (ready, all int) {
	for n := range s.snapshot.Instances {
		i := &s.snapshot.Instances[n]
		if i.Ready || i.State == event.Exited && (i.Code == 0 || i.Stopped) {
			ready++
		}
	}
	return ready, len(s.snapshot.Instances)
}

// failed counts the instances that will not be ready by themselves.
func (s *state) failed() (count int) {
	for n := range s.snapshot.Instances {
		if s.snapshot.Instances[n].Failure() != "" {
			count++
		}
	}
	return count
}

// isMoving tells whether times on the screen are short enough to be followed.
func (s *state) isMoving() bool {
	return len(s.snapshot.Holds) > 0 || s.snapshot.Phase == control.Starting || s.snapshot.Phase == control.Stopping
}
