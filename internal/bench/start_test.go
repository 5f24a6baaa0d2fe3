package bench

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// monotonic returns CLOCK_MONOTONIC, the clock of the programs, in nanoseconds.
func monotonic(b *testing.B) int64 {
	b.Helper()
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		b.Fatal(err)
	}
	return t.Nano()
}

// BenchmarkStart measures from the start of upall, and of a loop that just
// starts programs, until the first, the median and the last of 20 programs
// runs.
func BenchmarkStart(b *testing.B) {
	const programs = 20
	starts := map[string]func(*testing.B, int) []int64{"plain": startPlain, "upall": startUpall}
	names := []string{"plain", "upall"}
	values := map[string]map[string][]float64{"first": {}, "median": {}, "last": {}}
	turn := func(name string) {
		stamps := starts[name](b, programs)
		values["first"][name] = append(values["first"][name], float64(slices.Min(stamps)))
		values["median"][name] = append(values["median"][name], float64(median(stamps)))
		values["last"][name] = append(values["last"][name], float64(slices.Max(stamps)))
	}
	for b.Loop() {
		for n := range minRounds {
			turn(names[n%2])
			turn(names[(n+1)%2])
		}
	}
	b.ReportMetric(0, "ns/op") // of all rounds: says nothing
	for which, of := range values {
		for _, name := range names {
			b.ReportMetric(median(of[name])/millisecond, name+"-"+which+"-ms")
		}
		b.ReportMetric(added(of, "upall")/millisecond, "added-"+which+"-ms")
	}
}

// startPlain returns how long after its start each program ran.
func startPlain(b *testing.B, n int) []int64 {
	b.Helper()
	outputs := make([]bytes.Buffer, n)
	programs := make([]*exec.Cmd, n)
	begin := monotonic(b)
	for i := range programs {
		programs[i] = exec.CommandContext(b.Context(), filepath.Join(tools, "stamp"))
		programs[i].Stdout = &outputs[i]
		if err := programs[i].Start(); err != nil {
			b.Fatal(err)
		}
	}
	var all strings.Builder
	for i, p := range programs {
		if err := p.Wait(); err != nil {
			b.Fatal(err)
		}
		all.Write(outputs[i].Bytes())
	}
	return stampsSince(b, begin, all.String(), n)
}

func startUpall(b *testing.B, n int) []int64 {
	b.Helper()
	var file strings.Builder
	file.WriteString("x-upall: {runtime: process}\nservices:\n")
	for i := range n {
		fmt.Fprintf(&file, "  s%d: {command: [%s/stamp]}\n", i, tools)
	}
	cmd := upCommand(b, file.String(), "")
	begin := monotonic(b)
	out, err := cmd.Output()
	if err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	return stampsSince(b, begin, string(out), n)
}

// stamp is at the end of a line, after the name of a service if there is one.
var stamp = regexp.MustCompile(`(?m)(\d{6,})$`)

func stampsSince(b *testing.B, begin int64, out string, n int) []int64 {
	b.Helper()
	var stamps []int64
	for _, text := range stamp.FindAllString(out, -1) {
		at, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		stamps = append(stamps, at-begin)
	}
	if len(stamps) != n {
		b.Fatalf("%d programs told their time, want %d:\n%s", len(stamps), n, out)
	}
	return stamps
}
