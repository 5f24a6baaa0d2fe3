package e2e

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// crashGap is the most between two crashes at a start.
const crashGap = 300 * time.Millisecond

// The supervisor is killed at random moments while a project comes up. The command
// that brings it up, and every connect, goes well, as if nothing had been.
func TestE2ECrashStart(t *testing.T) {
	t.Parallel()
	everyRuntime(t, func(t *testing.T, w runtime) {
		p := w.project(t, `
  slow1: {command: [TOOLS/server, -delay, 300ms], expose: ["7000"]}
  slow2: {command: [TOOLS/server, -delay, 1200ms], expose: ["7000"]}
  slow3: {command: [TOOLS/server, -delay, 3s], expose: ["7000"]}
  plain: {command: [TOOLS/server, -delay, 2s]}
  once1: {command: [TOOLS/load, once, HERE/once1.times, "slow1:7000", "slow2:7000", "slow3:7000"]}
  once2: {command: [python3, TOOLS/clients/load.py, once, HERE/once2.times, "slow3:7000", "slow1:7000", "plain:7000"]}
  once3: {command: [TOOLS/load, once, HERE/once3.times, "plain:7000", "slow2:7000"]}
  once4: {command: [python3, TOOLS/clients/load.py, once, HERE/once4.times, "slow1:7000", "slow2:7000", "slow3:7000"]}
  often: {command: [TOOLS/load, often, "100", HERE/often.times, "slow1:7000", "slow2:7000"]}
`)
		up := make(chan outcome, 1)
		go func() { up <- p.exec("up", "-d") }()
		t.Cleanup(p.endDetached)
		crashes := p.crashOften(kills, crashGap)
		(<-up).want(0)
		p.allReady("slow1", "slow2", "slow3", "plain", "often")
		s := p.until(func(s snapshot) error {
			for _, i := range s.Instances {
				if strings.HasPrefix(i.Service, "once") && i.State != "exited" {
					return fmt.Errorf("%s is %s", i.Instance, i.State)
				}
			}
			return nil
		})
		p.allReady()
		if s.Life != kills+1 {
			t.Errorf("it is life %d of the supervisor, want %d", s.Life, kills+1)
		}
		if len(s.Holds) > 0 {
			t.Errorf("holds are left: %s", s.Holds)
		}
		for name, want := range map[string]int{"once1": 3, "once2": 3, "once3": 2, "once4": 3} {
			if got := len(p.connects(name)); got != want {
				t.Errorf("%s has connected %d times, want %d", name, got, want)
			}
		}
		t.Logf("crashes: %v", crashes)
	})
}

// The supervisor is killed at random moments while services connect to each other
// all the time, to what is ready and to what is not.
func TestE2ECrashLoad(t *testing.T) {
	t.Parallel()
	everyRuntime(t, func(t *testing.T, w runtime) {
		p := w.project(t, `
  ready1: {command: [TOOLS/server], expose: ["7000"]}
  ready2: {command: [TOOLS/server, -delay, 300ms], expose: ["7000"]}
  stairs: {command: [TOOLS/load, stairs, "7100", "30", 200ms], expose: ["7100-7129"]}
  late:   {command: [TOOLS/server, -delay, 7s], expose: ["7000"]}
  golang: {command: [TOOLS/load, often, "100", HERE/golang.times, "ready1:7000", "ready2:7000"]}
  python: {command: [python3, TOOLS/clients/load.py, "100", HERE/python.times, "ready1:7000", "ready2:7000"]}
  climb:  {command: [TOOLS/load, climb, HERE/climb.times, stairs, "7100", "30"]}
  once:   {command: [python3, TOOLS/clients/load.py, once, HERE/once.times, "late:7000", "stairs:7120", "stairs:7129"]}
`)
		p.upDetached()
		p.allReady("ready1", "ready2")
		began := time.Now() // who has begun before may have waited for them
		p.haveConnected(map[string]int{"golang": 100, "python": 100})
		crashes := p.crashOften(kills, crashGap)
		s := p.allReady("ready1", "ready2", "stairs", "late", "golang", "python", "climb")
		if s.Life != kills+1 {
			t.Errorf("it is life %d of the supervisor, want %d", s.Life, kills+1)
		}
		p.until(func(s snapshot) error {
			if len(s.Holds) > 0 {
				return fmt.Errorf("holds are left: %s", s.Holds)
			}
			return nil
		})
		p.haveConnected(map[string]int{"climb": 30, "once": 3, "golang": 500, "python": 500})
		p.allReady()
		t.Logf("crashes: %v", crashes)
		// How long a crash lasts is for the benchmarks: it depends on the machine.
		longest := slices.MaxFunc(crashes, func(a, b crash) int { return cmp.Compare(a.took(), b.took()) }).took()
		for _, name := range []string{"golang", "python"} {
			delays := around(p.connects(name), began, crashes)
			t.Logf("connects of %s around the crashes: %s", name, summary(delays))
			if took := p99(delays); took > 4*longest {
				t.Errorf("a connect of %s around a crash took %v (p99), want at most four times %v, the longest crash", name, took, longest)
			}
		}
	})
}
