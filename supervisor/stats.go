package supervisor

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"upall/compose"
	"upall/supervisor/control"
	"upall/supervisor/status"
	"upall/supervisor/usage"
)

// sample is one with what its rates come from.
type sample struct {
	control.Stats
	cpu map[string]time.Duration // so far, by instance
}

// Stats gives samples to one reader. What goes over the edges is counted all the
// time; the rest is looked up for each sample.
func (s *supervisor) Stats(ctx context.Context, q control.StatsQuery, yield func(control.Stats) error) error {
	ticker := time.NewTicker(q.Interval)
	defer ticker.Stop()
	before := s.sample()
	if q.Follow {
		if err := yield(before.Stats); err != nil {
			return err
		}
	}
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		now := s.sample()
		now.rate(before)
		if err := yield(now.Stats); err != nil || !q.Follow {
			return err
		}
		before = now
	}
}

// sample is without rates. Its bytes are of a moment before its connects, so that a
// connection is not known by its bytes alone.
func (s *supervisor) sample() sample {
	flows := s.board.traffic(s.counting.Load(), true)
	now := sample{Stats: control.Stats{Time: time.Now(), Edges: []control.EdgeStats{}, Instances: []control.InstanceStats{}}}
	snapshot := s.board.snapshot()
	for _, e := range snapshot.Edges {
		if e.Count == 0 {
			continue
		}
		f := flows[e.Key()]
		now.Edges = append(now.Edges, control.EdgeStats{
			Client: e.Client, FromHost: e.FromHost, Target: e.Target, Address: e.Address, Port: e.Port, Protocol: e.Protocol,
			Connects: e.Count, Held: e.Held, Failed: e.Refused,
			Open: f.Open, Sent: f.Sent, Received: f.Received, RTT: f.RTT,
		})
	}
	now.use(snapshot.Instances)
	return now
}

// use adds what instances use that run.
func (now *sample) use(all []status.Status) {
	now.cpu = map[string]time.Duration{}
	table := sync.OnceValues(usage.Processes)
	for _, i := range all {
		if i.PID == 0 {
			continue
		}
		u, ok := useOf(i, table)
		if !ok {
			continue // it is about to end
		}
		now.cpu[i.Instance] = u.CPU
		now.Instances = append(now.Instances, control.InstanceStats{Service: i.Service, Instance: i.Instance, Memory: u.Memory, PIDs: u.PIDs})
	}
	slices.SortFunc(now.Instances, func(a, b control.InstanceStats) int { return cmp.Compare(a.Instance, b.Instance) })
}

// useOf asks the control group of a container. One without a group that can be seen
// is taken as processes are.
func useOf(i status.Status, table func() (*usage.Table, error)) (u usage.Use, ok bool) {
	if i.Runtime == compose.Engine {
		if u, err := usage.Container(i.PID); err == nil {
			return u, true
		}
	}
	t, err := table()
	if err != nil {
		return u, false
	}
	u = t.Program(i.PID)
	return u, u.PIDs > 0
}

// rate adds what comes from the difference to the sample before.
func (now *sample) rate(before sample) {
	now.Interval = now.Time.Sub(before.Time)
	seconds := now.Interval.Seconds()
	was := map[status.EdgeKey]control.EdgeStats{}
	for _, e := range before.Edges {
		was[e.Key()] = e
	}
	for n := range now.Edges {
		e := &now.Edges[n]
		old := was[e.Key()]
		e.ConnectsPerSecond = perSecond(e.Connects, old.Connects, seconds)
		e.SentPerSecond = perSecond(e.Sent, old.Sent, seconds)
		e.ReceivedPerSecond = perSecond(e.Received, old.Received, seconds)
	}
	for n := range now.Instances {
		i := &now.Instances[n]
		if was, known := before.cpu[i.Instance]; known {
			i.CPU = perSecond(uint64(now.cpu[i.Instance]), uint64(was), seconds) / float64(time.Second)
		}
	}
}

// perSecond is 0 of what has begun anew.
func perSecond(now, before uint64, seconds float64) float64 {
	if now <= before || seconds <= 0 {
		return 0
	}
	return float64(now-before) / seconds
}
