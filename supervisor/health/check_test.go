package health

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"upall/compose"
)

// began is when the instances of the tests began to run.
func began() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }

// simulated is a Check whose probes begin on time.
type simulated struct {
	*Check
	elapsed time.Duration // of each probe
	// works says what a probe finds that begins then; nil is a failure for ever.
	works func(at time.Duration) Result
}

// until runs to a time and returns "AT STATE FAILING" for the first probe and
// for each after which state or failures are others than before.
func (s simulated) until(end time.Duration) []string {
	lines, probes := []string{}, 0
	last := ""
	for {
		at, ok := s.Next()
		if !ok {
			return append(lines, fmt.Sprintf("over after %d", probes))
		}
		if at.Sub(began()) > end {
			return append(lines, fmt.Sprintf("%d probes", probes))
		}
		r := Result{Code: 1}
		if s.works != nil {
			r = s.works(at.Sub(began()))
		}
		r.Began, r.Elapsed = at, s.elapsed
		status := s.Step(r)
		probes++
		if now := fmt.Sprintf("%s %d", status.Health, status.Failing); now != last {
			lines = append(lines, fmt.Sprintf("%v %s", status.At.Sub(began()), now))
			last = now
		}
	}
}

// from works from a time on.
func from(healthy time.Duration) func(time.Duration) Result {
	return func(at time.Duration) Result {
		if at >= healthy {
			return Result{}
		}
		return Result{Code: 1}
	}
}

// but works, but for some time.
func but(begin, end time.Duration) func(time.Duration) Result {
	return func(at time.Duration) Result {
		if at >= begin && at < end {
			return Result{Code: 1}
		}
		return Result{}
	}
}

func TestCheck(t *testing.T) {
	const s, ms = time.Second, time.Millisecond
	standard := compose.Healthcheck{}
	for _, test := range []struct {
		name    string
		config  compose.Healthcheck
		once    bool
		last    Status
		elapsed time.Duration
		works   func(time.Duration) Result
		end     time.Duration
		want    string
	}{
		{"healthy at once", standard, true, Status{}, 0, from(0), 60 * s, "100ms healthy 0, over after 1"},
		{"healthy at 5 s", standard, true, Status{}, 0, from(5 * s), 10 * s, "100ms starting 0, 5.02578125s healthy 0, over after 9"},
		{"settled", standard, false, Status{}, 0, from(0), 91 * s, "100ms healthy 0, 4 probes"},
		{"never", standard, false, Status{}, 0, nil, 100 * s, "100ms starting 0, 30s starting 1, 1m0s starting 2, 1m30s unhealthy 3, 17 probes"},
		{
			"the last moment", standard, false,
			Status{},
			0, from(89 * s), 130 * s,
			"100ms starting 0, 30s starting 1, 1m0s starting 2, 1m30s healthy 0, 18 probes",
		},
		{
			"retries",
			compose.Healthcheck{Interval: s, Retries: 1},
			false,
			Status{},
			0, nil, 3 * s,
			"100ms starting 0, 1s unhealthy 1, 2s unhealthy 2, 3s unhealthy 3, 8 probes",
		},
		{
			"slow probes",
			compose.Healthcheck{Interval: 10 * s, Retries: 2},
			false,
			Status{},
			2 * s, nil, 40 * s,
			"2.1s starting 0, 12.1s starting 1, 24s unhealthy 2, 36s unhealthy 3, 8 probes",
		},
		{
			"start period",
			compose.Healthcheck{Interval: 2 * s, Retries: 2, StartPeriod: 5 * s},
			false,
			Status{},
			0, nil, 12 * s,
			"100ms starting 0, 5s starting 1, 7s unhealthy 2, 9s unhealthy 3, 11s unhealthy 4, 12 probes",
		},
		{
			"start period that is longer than needed",
			compose.Healthcheck{Interval: s, StartPeriod: 60 * s},
			false,
			Status{},
			0, from(10 * s), 20 * s,
			"100ms starting 0, 10s healthy 0, 25 probes",
		},
		{
			"start interval",
			compose.Healthcheck{StartPeriod: 60 * s, StartInterval: s},
			true,
			Status{},
			0, from(50 * s), 60 * s,
			"100ms starting 0, 50s healthy 0, over after 56",
		},
		{
			"a short interval",
			compose.Healthcheck{Interval: 20 * ms},
			false,
			Status{},
			0, nil, 100 * ms,
			"20ms starting 1, 40ms starting 2, 60ms unhealthy 3, 80ms unhealthy 4, 100ms unhealthy 5, 5 probes",
		},
		{
			"ill for a while",
			compose.Healthcheck{Interval: s},
			false,
			Status{},
			0, but(10*s, 15*s), 20 * s,
			"100ms healthy 0, 10.1s healthy 1, 11.1s healthy 2, 12.1s unhealthy 3, 13.1s unhealthy 4, 14.1s unhealthy 5, 15.1s healthy 0, 20 probes",
		},
		{
			"ill for a moment",
			compose.Healthcheck{Interval: s},
			false,
			Status{},
			0, but(10*s, 12*s), 15 * s,
			"100ms healthy 0, 10.1s healthy 1, 11.1s healthy 2, 12.1s healthy 0, 15 probes",
		},
		{
			"the start period ends with the first success",
			compose.Healthcheck{Interval: s, StartPeriod: 60 * s},
			false,
			Status{},
			0, but(5*s, 99*s), 9 * s,
			"100ms healthy 0, 5.1s healthy 1, 6.1s healthy 2, 7.1s unhealthy 3, 8.1s unhealthy 4, 9 probes",
		},
		{
			"nobody can tell",
			compose.Healthcheck{Interval: s},
			false,
			Status{},
			0,
			func(time.Duration) Result { return Result{Err: "the engine does not answer"} },
			9 * s, "100ms starting 0, 13 probes",
		},
		{
			"timeouts",
			compose.Healthcheck{Interval: s, Timeout: s, Retries: 2},
			false,
			Status{},
			s,
			func(time.Duration) Result { return Result{TimedOut: true} },
			9 * s, "1.1s starting 0, 2.1s starting 1, 4s unhealthy 2, 6s unhealthy 3, 8s unhealthy 4, 10s unhealthy 5, 6 probes",
		},
		{
			"taken over healthy",
			compose.Healthcheck{Interval: 10 * s},
			false,
			Status{Health: Healthy, At: began().Add(95 * s)},
			0, from(0), 120 * s,
			"1m45s healthy 0, 2 probes",
		},
		{"taken over when over", standard, true, Status{Health: Healthy, At: began().Add(95 * s)}, 0, from(0), 120 * s, "over after 0"},
		{
			"taken over failing",
			compose.Healthcheck{Interval: 10 * s},
			false,
			Status{Health: Starting, Failing: 2, At: began().Add(21 * s)},
			0, nil, 40 * s,
			"21.1s starting 2, 31s unhealthy 3, 11 probes",
		},
		{
			"taken over before the first probe",
			compose.Healthcheck{Interval: 10 * s, Retries: 1},
			false,
			Status{Health: Starting},
			0, nil, 11 * s,
			"100ms starting 0, 10s unhealthy 1, 11 probes",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			check := New(Options{Config: test.config, Started: began(), UntilHealthy: test.once, Last: test.last})
			got := simulated{check, test.elapsed, test.works}.until(test.end)
			if diff := cmp.Diff(strings.Split(test.want, ", "), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestPace holds when the first probes begin.
func TestPace(t *testing.T) {
	check := New(Options{Started: began()})
	want := []string{"100ms", "200ms", "350ms", "575ms", "912.5ms", "1.41875s"}
	for n, w := range want {
		at, _ := check.Next()
		if got := at.Sub(began()).String(); got != w {
			t.Errorf("probe %d begins at %s, want %s", n, got, w)
		}
		check.Step(Result{Began: at, Code: 1})
	}
}

// TestBusy: a probe that takes long comes less often.
func TestBusy(t *testing.T) {
	check := New(Options{Started: began()})
	at, _ := check.Next()
	check.Step(Result{Began: at, Elapsed: 2 * time.Second, Code: 1})
	if next, _ := check.Next(); next.Sub(at) != 4*time.Second {
		t.Errorf("the next probe begins %v after one of 2s, want 4s", next.Sub(at))
	}
}

func TestWake(t *testing.T) {
	check := New(Options{Started: began(), Config: compose.Healthcheck{Interval: 10 * time.Second}})
	simulated{Check: check}.until(8 * time.Second)
	now := began().Add(9 * time.Second)
	check.Wake(now)
	for n, want := range []time.Duration{0, 100 * time.Millisecond, 250 * time.Millisecond} {
		at, _ := check.Next()
		if at.Sub(now) != want {
			t.Errorf("probe %d begins %v after the wake, want %v", n, at.Sub(now), want)
		}
		check.Step(Result{Began: at, Code: 1})
	}
	if got := check.Status().Failing; got != 0 {
		t.Errorf("%d failures count, want none before the interval", got)
	}
	at, _ := check.Next()
	check.Step(Result{Began: at})
	before, _ := check.Next()
	check.Wake(at.Add(time.Second))
	if after, _ := check.Next(); after != before {
		t.Errorf("a wake moved the next probe of what is healthy from %v to %v", before, after)
	}
}

// TestAwaitWake: what has ports is seldom asked before it listens, but never later
// than Docker would ask it.
func TestAwaitWake(t *testing.T) {
	for _, test := range []struct {
		name   string
		config compose.Healthcheck
		last   Status
		wake   time.Duration // -1: it does not come
		want   string
	}{
		{"it never listens", compose.Healthcheck{Interval: 4 * time.Second}, Status{}, -1, "1s 2s 3.5s 4s 7.375s 8s 12s 16s"},
		{"it listens", compose.Healthcheck{}, Status{}, 2500 * time.Millisecond, "1s 2s 2.5s 2.6s 2.75s 2.975s 3.3125s 3.81875s"},
		{"it listens before the first probe", compose.Healthcheck{}, Status{}, 30 * time.Millisecond, "30ms 130ms 280ms 505ms 842.5ms 1.34875s 2.108125s 3.2471875s"},
		{"a short interval", compose.Healthcheck{Interval: 300 * time.Millisecond}, Status{}, -1, "300ms 600ms 900ms 1.2s 1.5s 1.8s 2.1s 2.4s"},
		{"a short start interval", compose.Healthcheck{StartPeriod: time.Minute, StartInterval: 400 * time.Millisecond}, Status{}, -1, "400ms 800ms 1.2s 1.6s 2s 2.4s 2.8s 3.2s"},
		{"of an earlier life", compose.Healthcheck{}, Status{Health: Starting, At: began().Add(9 * time.Second)}, -1, "10s 11s 12.5s 14.75s 18.125s 23.1875s 30.78125s 39s"},
	} {
		t.Run(test.name, func(t *testing.T) {
			check := New(Options{Config: test.config, Started: began(), AwaitWake: true, Last: test.last})
			wake := began().Add(test.wake)
			var probes []string
			for range 8 {
				at, _ := check.Next()
				if test.wake >= 0 && at.After(wake) {
					check.Wake(wake)
					at, wake = wake, began().Add(time.Hour)
				}
				probes = append(probes, at.Sub(began()).String())
				check.Step(Result{Began: at, Code: 1})
			}
			if got := strings.Join(probes, " "); got != test.want {
				t.Errorf("probes at %s, want %s", got, test.want)
			}
		})
	}
}

// TestLog keeps the newest results, and leaves alone what has been told.
func TestLog(t *testing.T) {
	check := New(Options{Started: began()})
	var told []Status
	for code := range 8 {
		at, _ := check.Next()
		told = append(told, check.Step(Result{Began: at, Code: code + 1}))
	}
	for n, status := range told {
		var codes []int
		for _, r := range status.Log {
			codes = append(codes, r.Code)
		}
		want := []int{1, 2, 3, 4, 5, 6, 7, 8}[max(0, n+1-maxLog) : n+1]
		if !slices.Equal(codes, want) {
			t.Errorf("log %d is of %v, want %v", n, codes, want)
		}
		if last, ok := status.Last(); !ok || last.Code != n+1 {
			t.Errorf("the last of log %d has code %d", n, last.Code)
		}
	}
	if last, ok := (Status{}).Last(); ok {
		t.Errorf("an empty log has a last result %v", last)
	}
}

// docker is when Docker (moby's daemon/health.go) calls an instance unhealthy
// whose probes all fail.
func docker(h compose.Healthcheck, elapsed time.Duration) time.Duration {
	var now time.Duration
	for failing := 0; failing < h.Retries; now += elapsed {
		if now >= h.StartPeriod {
			now += h.Interval
		} else {
			now += h.StartInterval
		}
		if now >= h.StartPeriod {
			failing++
		}
	}
	return now
}

// TestNotBeforeDocker compares with Docker over random healthchecks.
func TestNotBeforeDocker(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	milliseconds := func(limit int) time.Duration { return time.Duration(1+random.IntN(limit)) * time.Millisecond }
	for range 2000 {
		h := compose.Healthcheck{
			Interval: milliseconds(40_000), Timeout: time.Minute, StartInterval: milliseconds(10_000),
			StartPeriod: milliseconds(60_000) * time.Duration(random.IntN(2)), Retries: 1 + random.IntN(4),
		}
		elapsed := milliseconds(3_000)
		check := New(Options{Config: h, Started: began(), AwaitWake: random.IntN(2) == 0})
		for check.Status().Health != Unhealthy {
			at, _ := check.Next()
			check.Step(Result{Began: at, Elapsed: elapsed, Code: 1})
		}
		got, earliest := check.Status().At.Sub(began()), docker(h, elapsed)
		// The first interval is waited for, and each time maybe for the end of an
		// extra probe.
		latest := earliest + h.Interval + time.Duration(h.Retries)*elapsed
		if got < earliest || got > latest {
			t.Fatalf("unhealthy after %v, want %v..%v: %+v, probes of %v", got, earliest, latest, h, elapsed)
		}
	}
}
