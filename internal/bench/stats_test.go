package bench

import (
	"slices"
	"testing"
)

// percentile returns the p-th percentile of the samples, 0 to 100, by the
// nearest rank.
func percentile[T int64 | float64](samples []T, p int) T {
	sorted := slices.Sorted(slices.Values(samples))
	return sorted[min(len(sorted)*p/100, len(sorted)-1)]
}

func median[T int64 | float64](samples []T) T { return percentile(samples, 50) }

const (
	microsecond = 1e3 // ns
	millisecond = 1e6 // ns
)

// reportMicros reports percentiles of samples in nanoseconds.
func reportMicros(b *testing.B, name string, samples []int64) {
	b.Helper()
	b.ReportMetric(float64(percentile(samples, 50))/microsecond, name+"p50-us")
	b.ReportMetric(float64(percentile(samples, 99))/microsecond, name+"p99-us")
}

// series gathers, for each side, the samples of all rounds and a value of each.
type series struct {
	samples map[string][]int64
	p50s    map[string][]float64 // of each round, in nanoseconds
	p99s    map[string][]float64
}

func newSeries() *series {
	return &series{map[string][]int64{}, map[string][]float64{}, map[string][]float64{}}
}

// add takes the samples of one round in.
func (s *series) add(name string, samples []int64) {
	s.samples[name] = append(s.samples[name], samples...)
	s.p50s[name] = append(s.p50s[name], float64(percentile(samples, 50)))
	s.p99s[name] = append(s.p99s[name], float64(percentile(samples, 99)))
}

// added returns the median over the rounds of what side took longer than plain.
func added(values map[string][]float64, name string) float64 {
	var diffs []float64
	for round, v := range values[name] {
		diffs = append(diffs, v-values["plain"][round])
	}
	return median(diffs)
}

// ratio returns the median over the rounds of side's value by plain's.
func ratio(values map[string][]float64, name string) float64 { return ratioTo(values, name, "plain") }

// ratioTo returns the median over the rounds of side's value by base's.
func ratioTo(values map[string][]float64, name, base string) float64 {
	var ratios []float64
	for round, v := range values[name] {
		ratios = append(ratios, v/values[base][round])
	}
	return median(ratios)
}
