package health

import (
	"cmp"
	"slices"
	"time"

	"upall/compose"
)

// State is what a healthcheck says of an instance.
type State string

// The states, as Docker names them.
const (
	Starting  State = "starting" // no success yet, and not given up
	Healthy   State = "healthy"
	Unhealthy State = "unhealthy" // as many failures in a row as retries says
)

// Result is what came out of one probe. It is plain data.
type Result struct {
	Began    time.Time
	Elapsed  time.Duration
	Code     int    // exit code; -1 if there is none
	Output   string // the end of what it wrote, MaxOutput bytes at most
	TimedOut bool   // it took too long and was killed
	// Err says why it could not be found out whether the instance works ("" if it
	// could). Such a result counts neither way.
	Err string
}

// succeeded says that the instance works.
func (r Result) succeeded() bool { return r.Code == 0 && !r.TimedOut && r.Err == "" }

// Status is what is known of an instance. It is plain data, and never changed
// once told.
type Status struct {
	Health  State
	Failing int       // failures in a row, counted as Docker does
	At      time.Time // of the newest result's end; zero if there is none
	Log     []Result  // the newest results, oldest first, maxLog at most
}

// Last returns the newest result, if there is one.
func (s Status) Last() (Result, bool) {
	if len(s.Log) == 0 {
		return Result{}, false
	}
	return s.Log[len(s.Log)-1], true
}

// maxLog is how many results Docker keeps.
const maxLog = 5

// The time between the first probes, which each is followed by a longer one until
// it is the interval of the file: of an instance that may work by now, and of one
// that has yet to say so (Options.AwaitWake).
const (
	firstPace = 100 * time.Millisecond
	awaitPace = time.Second
)

// Options are for New.
type Options struct {
	Config  compose.Healthcheck // zeros are Docker's defaults
	Started time.Time           // when the instance began to run
	// UntilHealthy ends the Check with the first success: somebody else goes on.
	UntilHealthy bool
	// AwaitWake says that a Wake is to come before the instance works, for it has
	// ports to listen on. It is asked less often until then: a probe is not free.
	AwaitWake bool
	// Last is the newest Status of a supervisor before this one; zero if there is
	// none.
	Last Status
}

// Check is the state of the healthcheck of one run of an instance. It is pure:
// time goes by where a method is told so. Make one with New.
type Check struct {
	Options
	status Status
	pace   time.Duration // until the next probe, after a failure
	next   time.Time
	// due is when Docker would probe next. A failure of a probe that began
	// before is extra, and does not count.
	due time.Time
}

// New begins a healthcheck. It reads no clock.
func New(o Options) *Check {
	o.Config = o.Config.WithDefaults()
	c := &Check{Options: o, status: o.Last}
	c.status.Health = cmp.Or(o.Last.Health, Starting)
	if c.hurry(o.Started); c.status.Health != Starting {
		c.pace = o.Config.Interval
	}
	c.next, c.due = o.Started.Add(c.pace), o.Started.Add(c.interval(o.Started))
	if !o.Last.At.IsZero() {
		c.next = o.Last.At.Add(c.pace)
		c.due = latest(c.due, o.Last.At.Add(o.Config.Interval))
	}
	return c
}

// Status returns what is known.
func (c *Check) Status() Status { return c.status }

// Next returns when the next probe is to begin, which may be in the past. It is
// not ok when there is to be none any more.
func (c *Check) Next() (at time.Time, ok bool) {
	return c.next, !c.UntilHealthy || c.status.Health != Healthy
}

// Wake says that something has changed with the instance, as that it listens
// now: the next probe is to begin at once, and the pace is that of the beginning.
// What is healthy has no need of it.
func (c *Check) Wake(now time.Time) {
	if c.status.Health == Healthy {
		return
	}
	c.AwaitWake = false
	c.hurry(now)
	c.next = now
}

// hurry makes the pace that of the beginning.
func (c *Check) hurry(now time.Time) {
	c.pace = min(firstPace, c.Config.Interval)
	if c.AwaitWake {
		c.pace = min(awaitPace, c.interval(now), c.Config.Interval)
	}
}

// Step takes the result of a probe and returns what is known with it.
func (c *Check) Step(r Result) Status {
	now := r.Began.Add(r.Elapsed)
	c.status.At = now
	c.status.Log = append(slices.Clone(c.status.Log), r)
	if extra := len(c.status.Log) - maxLog; extra > 0 {
		c.status.Log = c.status.Log[extra:]
	}
	if r.succeeded() {
		c.status.Health, c.status.Failing = Healthy, 0
		c.pace = c.Config.Interval
		c.next = now.Add(c.pace)
		c.due = c.next
		return c.status
	}
	isKnown := r.Err == ""
	if isKnown && !r.Began.Before(c.due) {
		c.fail(r)
	}
	// A probe that is expensive, or slow because the machine is busy, comes less
	// often than the pace; one that Docker would make is never left out.
	slowest := min(c.interval(now), c.Config.Interval)
	c.next = now.Add(min(max(c.pace, r.Elapsed), slowest))
	if isKnown && c.due.Before(c.next) {
		c.next = latest(c.due, now)
	}
	c.pace = min(c.pace+c.pace/2, slowest)
	return c.status
}

// fail takes a failure of a probe that Docker would have made too, at the time
// that was due.
func (c *Check) fail(r Result) {
	at := c.due
	end := at.Add(r.Elapsed)
	interval := c.interval(end)
	c.due = latest(end.Add(interval), r.Began.Add(interval))
	if c.isStartPeriod(at) {
		return
	}
	// Engines without start_interval probe after the first interval only.
	if first := c.Started.Add(c.Config.Interval); r.Began.Before(first) {
		c.due = first
		return
	}
	c.status.Failing++
	if c.status.Failing >= c.Config.Retries && c.status.Health != Unhealthy {
		c.status.Health = Unhealthy
		c.pace = c.Config.Interval
	}
}

// interval is how long Docker would wait now for the next probe.
func (c *Check) interval(now time.Time) time.Duration {
	if c.isStartPeriod(now) {
		return c.Config.StartInterval
	}
	return c.Config.Interval
}

// isStartPeriod says that a failure of a probe that begins now does not count.
func (c *Check) isStartPeriod(now time.Time) bool {
	return c.status.Health == Starting && now.Sub(c.Started) < c.Config.StartPeriod
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
