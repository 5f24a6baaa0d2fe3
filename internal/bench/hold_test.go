package bench

import (
	"slices"
	"testing"

	"upall/internal/event"
	"upall/internal/testenv"
)

// ways are the ways of holding, with what must be disabled to get each.
var ways = []struct {
	name     string
	way      event.Way
	disabled string
}{
	{"parked", event.Parked, ""},
	{"kept", event.Kept, "park,early"},
	{"early", event.Early, "park"},
}

func needWay(b *testing.B, way event.Way) {
	b.Helper()
	if way == event.Parked {
		testenv.NeedNFQueue(b)
	}
}

// BenchmarkRelease measures from just before the server's listen(2) until its
// client goes on, one hold at a time. Parked and kept clients go on when their
// connect has ended, those of an early listener, which are connected all the
// time, when they get the server's first byte.
func BenchmarkRelease(b *testing.B) {
	const holds = 250
	for _, w := range ways {
		b.Run(w.name, func(b *testing.B) {
			needWay(b, w.way)
			var release, afterListen, listen, first []int64
			for b.Loop() {
				p := startProject(b, w.disabled, holds)
				for n := range holds {
					p.client.order("hold server %d 1", firstPort+n)
					p.awaitHolds(b, n+1, string(w.way))
					times := p.server.ask("listen 0.0.0.0 %d 128 1", firstPort+n)
					client := p.client.numbers()
					goesOn := client[0]
					if w.way == event.Early {
						goesOn = client[1]
					}
					release = append(release, goesOn-times[0])
					afterListen = append(afterListen, goesOn-times[1])
					listen = append(listen, times[1]-times[0])
					first = append(first, client[1]-times[0])
				}
			}
			b.ReportMetric(0, "ns/op") // of all holds: says nothing
			reportMicros(b, "", release)
			reportMicros(b, "after-listen-", afterListen)
			reportMicros(b, "listen-", listen)
			reportMicros(b, "first-byte-", first)
			b.ReportMetric(float64(slices.Max(release))/microsecond, "max-us")
		})
	}
}

// BenchmarkReleaseCrowd measures from just before the server's listen(2) until
// the last of 1,000 clients of one process goes on, into a deep backlog and into
// a usual one.
func BenchmarkReleaseCrowd(b *testing.B) {
	const holds, times = 1000, 5
	for _, backlog := range []struct {
		name  string
		depth int
	}{{"backlog=4096", 4096}, {"backlog=128", 128}} {
		for _, w := range ways {
			b.Run(backlog.name+"/"+w.name, func(b *testing.B) {
				needWay(b, w.way)
				var firsts, lasts []int64
				for b.Loop() {
					p := startProject(b, w.disabled, times)
					for n := range times {
						p.client.order("hold server %d %d", firstPort+n, holds)
						p.awaitHolds(b, (n+1)*holds, string(w.way))
						listen := p.server.ask("listen 0.0.0.0 %d %d %d", firstPort+n, backlog.depth, holds)
						goesOn := everyOther(p.client.numbers(), w.way == event.Early)
						firsts = append(firsts, slices.Min(goesOn)-listen[0])
						lasts = append(lasts, slices.Max(goesOn)-listen[0])
					}
				}
				b.ReportMetric(0, "ns/op") // of all holds: says nothing
				b.ReportMetric(float64(median(firsts))/millisecond, "first-ms")
				b.ReportMetric(float64(median(lasts))/millisecond, "last-ms")
				b.ReportMetric(float64(slices.Max(lasts))/millisecond, "worst-last-ms")
			})
		}
	}
}

// everyOther returns one half of pairs.
func everyOther(pairs []int64, second bool) []int64 {
	var half []int64
	for pair := range slices.Chunk(pairs, 2) {
		if second {
			half = append(half, pair[1])
		} else {
			half = append(half, pair[0])
		}
	}
	return half
}
