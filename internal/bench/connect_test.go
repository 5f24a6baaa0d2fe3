package bench

import (
	"testing"

	"upall/internal/linux"
)

// BenchmarkConnect measures a connect to a listener that serves. Light is what
// services do: a connect now and then. A tight loop is load, under which upall
// gives the synchronous hand-over up.
func BenchmarkConnect(b *testing.B) {
	for _, bench := range []struct {
		name     string
		connects int // of a side in a round
		pause    int // microseconds
	}{
		{"light", 100, 1000},
		{"tight", 1000, 0},
	} {
		b.Run(bench.name, func(b *testing.B) {
			sides := startSides(b, "drop", string(linux.SyncWakeUp))
			s := newSeries()
			rounds(b, sides, func(side *side) {
				s.add(side.name, side.client.ask("connect %s %d %d %d", side.host, side.port, bench.connects, bench.pause))
			})
			for _, side := range sides {
				reportMicros(b, side.name+"-", s.samples[side.name])
			}
			for _, side := range sides[1:] {
				b.ReportMetric(added(s.p50s, side.name)/microsecond, side.name+"-added-p50-us")
				b.ReportMetric(added(s.p99s, side.name)/microsecond, side.name+"-added-p99-us")
			}
		})
	}
}

// BenchmarkConnectThreads measures how many connects 8 threads make at once.
func BenchmarkConnectThreads(b *testing.B) {
	const threads, connects = 8, 500
	sides := startSides(b, "drop", string(linux.SyncWakeUp))
	s := newSeries()
	rounds(b, sides, func(side *side) {
		s.add(side.name, side.client.ask("threads %s %d %d %d", side.host, side.port, connects, threads))
	})
	for _, side := range sides {
		b.ReportMetric(threads*connects*1e9/float64(median(s.samples[side.name])), side.name+"-connects/s")
	}
	for _, side := range sides[1:] {
		b.ReportMetric(1/ratio(s.p50s, side.name), side.name+"-throughput-ratio")
	}
}

// BenchmarkOtherCalls measures system calls that upall has no interest in.
func BenchmarkOtherCalls(b *testing.B) {
	const calls = 100_000
	for _, call := range []string{"getppid", "write"} {
		b.Run(call, func(b *testing.B) {
			sides := startSides(b, "drop")
			s := newSeries()
			rounds(b, sides, func(side *side) {
				s.add(side.name, side.client.ask("%s %d", call, calls))
			})
			for _, side := range sides {
				b.ReportMetric(float64(median(s.samples[side.name]))/calls, side.name+"-ns/call")
			}
			b.ReportMetric(ratio(s.p50s, "upall"), "ratio")
		})
	}
}

// BenchmarkStream measures the throughput of a connected pair, of whose bytes
// none passes through upall.
func BenchmarkStream(b *testing.B) {
	const bytes = 256 << 20
	sides := startSides(b, "sink")
	s := newSeries()
	rounds(b, sides, func(side *side) {
		s.add(side.name, side.client.ask("send %s %d %d", side.host, side.port, bytes))
	})
	for _, side := range sides {
		b.ReportMetric(bytes/1e6/(float64(median(s.samples[side.name]))/1e9), side.name+"-MB/s")
	}
	b.ReportMetric(1/ratio(s.p50s, "upall"), "throughput-ratio")
}
