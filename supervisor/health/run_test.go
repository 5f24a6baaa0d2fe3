package health

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"upall/compose"
)

// TestRun probes until the instance is healthy.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		started := time.Now()
		var told []string
		probe := func(context.Context) Result {
			if time.Since(started) < time.Second {
				return Result{Code: 7, Output: "not yet"}
			}
			return Result{Output: "ok"}
		}
		Run(t.Context(), New(Options{Started: started, UntilHealthy: true}), probe, nil, func(s Status) {
			last, _ := s.Last()
			told = append(told, fmt.Sprintf("%v %s %d %s", s.At.Sub(started), s.Health, last.Code, last.Output))
		})
		want := []string{
			"100ms starting 7 not yet", "200ms starting 7 not yet", "350ms starting 7 not yet",
			"575ms starting 7 not yet", "912.5ms starting 7 not yet", "1.41875s healthy 0 ok",
		}
		if !slices.Equal(told, want) {
			t.Errorf("told %q\nwant %q", told, want)
		}
	})
}

// TestRunTimeout ends a probe that lasts too long.
func TestRunTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		probe := func(ctx context.Context) Result {
			<-ctx.Done()
			return Result{Output: "so far", Err: ctx.Err().Error()}
		}
		config := compose.Healthcheck{Interval: time.Second, Timeout: 3 * time.Second, Retries: 1}
		var told []Status
		Run(ctx, New(Options{Config: config, Started: time.Now()}), probe, nil, func(s Status) {
			if told = append(told, s); len(told) == 2 {
				cancel()
			}
		})
		for n, want := range []State{Starting, Unhealthy} {
			last, _ := told[n].Last()
			if told[n].Health != want || !last.TimedOut || last.Code != noCode || last.Err != "" || last.Output != "so far" || last.Elapsed != 3*time.Second+startAllowance {
				t.Errorf("status %d is %+v, want %s and a timeout", n, told[n], want)
			}
		}
	})
}

// TestRunEnds: a probe that ends with the context is not told.
func TestRunEnds(t *testing.T) {
	for _, after := range []time.Duration{0, 50 * time.Millisecond, 200 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), after)
			defer cancel()
			probe := func(ctx context.Context) Result {
				<-ctx.Done()
				return Result{}
			}
			Run(ctx, New(Options{Started: time.Now()}), probe, nil, func(s Status) { t.Errorf("told %+v", s) })
			if ctx.Err() == nil {
				t.Error("ended before its context")
			}
		})
	}
}

// TestRunWake probes when the instance listens, also if one is under way then.
func TestRunWake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		started := time.Now()
		wake := make(chan struct{}, 1)
		var listening atomic.Bool
		for _, at := range []time.Duration{3 * time.Second, 6100 * time.Millisecond} {
			time.AfterFunc(at, func() {
				listening.Store(at > 5*time.Second)
				wake <- struct{}{}
			})
		}
		var probes []string
		probe := func(context.Context) Result {
			code := 1
			if listening.Load() {
				code = 0
			}
			probes = append(probes, time.Since(started).String())
			<-time.After(time.Second) // it tells what was when it began
			return Result{Code: code}
		}
		Run(t.Context(), New(Options{Started: started, UntilHealthy: true}), probe, wake, func(Status) {})
		// At 3 s none is under way; one is at 6.1 s.
		want := []string{"100ms", "2.1s", "3.1s", "5.1s", "6.1s"}
		if !slices.Equal(probes, want) {
			t.Errorf("probes at %v, want %v", probes, want)
		}
	})
}

func TestTail(t *testing.T) {
	long := strings.Repeat("0123456789", 1000)
	for _, test := range []struct {
		name, want string
		give       []string
	}{
		{"nothing", "", nil},
		{"a little", "ab", []string{"a", "b"}},
		{"a lot", long[len(long)-MaxOutput:], []string{long}},
		{"a lot in pieces", long[len(long)-MaxOutput+3:] + "abc", []string{long[:3000], long[3000:], "a", "bc"}},
		{"a cut character", "x" + strings.Repeat("y", MaxOutput-2), []string{"€x", strings.Repeat("y", MaxOutput-2)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var tail Tail
			for _, text := range test.give {
				if n, err := tail.Write([]byte(text)); n != len(text) || err != nil {
					t.Errorf("wrote %d of %d bytes, error %v", n, len(text), err)
				}
			}
			if got := tail.String(); got != test.want {
				t.Errorf("got %d bytes %.20q, want %d bytes %.20q", len(got), got, len(test.want), test.want)
			}
		})
	}
}
