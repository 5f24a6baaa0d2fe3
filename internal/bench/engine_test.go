package bench

import (
	"testing"
	"time"

	"upall/internal/testenv"
)

const (
	containerCount  = 20
	containerRounds = 7 // each takes some 20 s
)

// timed is one of the things whose time is compared. do returns the times of a
// turn by name; undo brings back what was before it.
type timed struct {
	do   func() map[string]time.Duration
	undo func()
}

// BenchmarkEngineStart starts containers that have been created: by concurrent
// calls of the engine's API and nothing else (bare), by upall up -d, by Compose's
// Up and by its Start. Of upall there is also the time of the start phase: from
// the first container that it starts to the last that the engine has started.
func BenchmarkEngineStart(b *testing.B) {
	bare, upall := newBare(b), newEngineProject(b, containerCount)
	up, start := newComposeProject(b), newComposeProject(b)
	upall.upall("up", "--no-start")
	up.create()
	start.create()
	values := engineRounds(b, []timed{
		{func() map[string]time.Duration { return map[string]time.Duration{"bare": bare.start()} }, bare.stop},
		{
			func() map[string]time.Duration {
				whole, phase := upall.up()
				return map[string]time.Duration{"upall": whole, "upall-start-phase": phase}
			},
			func() { upall.upall("stop", "-t", "0") },
		},
		{func() map[string]time.Duration { return map[string]time.Duration{"compose-up": up.up()} }, up.stop},
		{func() map[string]time.Duration { return map[string]time.Duration{"compose-start": start.start()} }, start.stop},
	})
	b.ReportMetric(ratioTo(values, "upall-start-phase", "bare"), "upall-start-phase/bare")
	b.ReportMetric(ratioTo(values, "upall", "compose-up"), "upall/compose-up")
	b.ReportMetric(ratioTo(values, "upall-start-phase", "compose-start"), "upall-start-phase/compose-start")
}

// BenchmarkEngineUp brings a project up of which there is nothing but the images.
func BenchmarkEngineUp(b *testing.B) {
	upall, up := newEngineProject(b, containerCount), newComposeProject(b)
	values := engineRounds(b, []timed{
		{
			func() map[string]time.Duration {
				whole, phase := upall.up()
				return map[string]time.Duration{"upall": whole, "upall-start-phase": phase}
			},
			func() { upall.upall("down", "-t", "0") },
		},
		{func() map[string]time.Duration { return map[string]time.Duration{"compose-up": up.up()} }, up.down},
	})
	b.ReportMetric(ratioTo(values, "upall", "compose-up"), "upall/compose-up")
}

// engineRounds has the turns made in another order each round. It reports the
// median times and returns all of them, in milliseconds by round.
func engineRounds(b *testing.B, turns []timed) map[string][]float64 {
	b.Helper()
	testenv.NeedEngine(b)
	values := map[string][]float64{}
	for b.Loop() {
		for n := range containerRounds {
			for i := range turns {
				turn := turns[(i+n)%len(turns)]
				for name, took := range turn.do() {
					values[name] = append(values[name], float64(took)/millisecond)
				}
				turn.undo()
			}
		}
	}
	b.ReportMetric(0, "ns/op") // of all rounds: says nothing
	for name, of := range values {
		b.ReportMetric(median(of), name+"-ms")
	}
	return values
}
