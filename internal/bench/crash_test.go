package bench

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"upall/internal/testenv"
)

// crashBound is what a crash of the supervisor may cost a ready connect at most
// (p99).
const crashBound = 500 * time.Millisecond

// BenchmarkCrash measures how long a ready connect takes that comes right after the
// supervisor was killed.
func BenchmarkCrash(b *testing.B) {
	p := startProject(b, "", 0)
	port := p.server.ask("drop 0.0.0.0 %d", readyPort)[0]
	var delays []int64
	for b.Loop() {
		for range minRounds {
			killed := p.supervisor()
			if err := unix.Kill(killed, unix.SIGKILL); err != nil {
				b.Fatal(err)
			}
			delays = append(delays, p.client.ask("connect server %d 1 0", port)[0])
			testenv.Eventually(b, patience, func() error {
				if next := p.supervisor(); next == 0 || next == killed {
					return fmt.Errorf("the supervisor is %d, and was %d", next, killed)
				}
				return nil
			})
		}
	}
	b.ReportMetric(0, "ns/op") // of all rounds: says nothing
	b.ReportMetric(float64(percentile(delays, 50))/millisecond, "p50-ms")
	b.ReportMetric(float64(percentile(delays, 99))/millisecond, "p99-ms")
	if p99 := time.Duration(percentile(delays, 99)); p99 > crashBound {
		b.Errorf("a connect after a crash takes %v (p99), want at most %v", p99, crashBound)
	}
}

// supervisor finds the project's, 0 while there is none.
func (p *project) supervisor() (pid int) {
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range lines {
		line, err := os.ReadFile(path)
		isKeeper := bytes.HasPrefix(line, []byte("upall-keeper\x00"))
		if err == nil && !isKeeper && bytes.HasSuffix(line, []byte("\x00supervise\x00--\x00"+p.name+"\x00")) {
			pid, _ = strconv.Atoi(filepath.Base(filepath.Dir(path)))
		}
	}
	return pid
}
