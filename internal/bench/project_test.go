package bench

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"

	"upall/internal/testenv"
)

// projectNumber makes the names of this process's projects unique.
var projectNumber atomic.Int64

// Ports of the services of a project.
const (
	readyPort = 20000 // listened on at once
	firstPort = 21000 // the first of those that come late
)

// project is a running project of one server and one client.
type project struct {
	name           string
	server, client *worker
	events         string // path of the record
}

// upCommand is upall up for a compose file, in a folder of its own.
func upCommand(b *testing.B, services string, disabled string, args ...string) *exec.Cmd {
	b.Helper()
	folder := b.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "compose.yaml"), []byte(services), 0o600); err != nil {
		b.Fatal(err)
	}
	name := fmt.Sprintf("bench-%d-%d", os.Getpid(), projectNumber.Add(1))
	cmd := exec.CommandContext(b.Context(), filepath.Join(tools, "upall"), append([]string{"-p", name, "up"}, args...)...)
	cmd.Dir, cmd.Env = folder, append(os.Environ(), "UPALL_DISABLE="+disabled)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = patience
	return cmd
}

// startProject brings the project up without the disabled features. Its
// server declares as many late ports.
func startProject(b *testing.B, disabled string, latePorts int) *project {
	b.Helper()
	r := newRoster(b)
	services := fmt.Sprintf(`x-upall: {runtime: process, hold_timeout: 10m}
services:
  server: {command: [%[1]s/worker, %[2]s, server], expose: ["%[3]d", "%[4]d-%[5]d"], stop_grace_period: 1s}
  client: {command: [%[1]s/worker, %[2]s, client], stop_grace_period: 1s}
`, tools, r.path, readyPort, firstPort, firstPort+max(latePorts, 1)-1)
	events := filepath.Join(b.TempDir(), "events")
	cmd := upCommand(b, services, disabled, "--events", events)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Wait() // b's context is over: upall was interrupted
		if b.Failed() {
			b.Logf("upall said:\n%s", out.Bytes())
		}
	})
	workers := r.collect(b, 2)
	return &project{cmd.Args[2], workers["server"], workers["client"], events}
}

// awaitHolds waits until n holds have begun since the project's start, all of
// them kept in this way.
func (p *project) awaitHolds(b *testing.B, n int, way string) {
	b.Helper()
	testenv.Eventually(b, patience, func() error {
		record, err := os.ReadFile(p.events)
		if err != nil {
			return err
		}
		began := bytes.Count(record, []byte(`"type":"hold_began"`))
		if began < n {
			return fmt.Errorf("%d of %d holds have begun", began, n)
		}
		if bytes.Count(record, []byte(`"way":"`+way+`"`)) < bytes.Count(record, []byte(`"way":`)) {
			return errors.New("some holds are not " + way)
		}
		return nil
	})
}

// side is a server and a client under one of the conditions that are compared.
type side struct {
	name           string
	server, client *worker
	host           string // what the client calls the server
	port           int64  // of its ready listener
}

// startSides starts a pair without upall, one with it, and one with features of
// it disabled, if any are named. verb makes the server's listener.
func startSides(b *testing.B, verb string, disabled ...string) []*side {
	b.Helper()
	plain := plainWorkers(b, "server", "client")
	sides := []*side{{name: "plain", server: plain["server"], client: plain["client"], host: "127.0.0.1"}}
	for _, d := range append([]string{""}, disabled...) {
		p := startProject(b, d, 0)
		name := "upall"
		if d != "" {
			name = "without-" + d
		}
		sides = append(sides, &side{name: name, server: p.server, client: p.client, host: "server"})
	}
	sides[0].port = sides[0].server.ask("%s 127.0.0.1 0", verb)[0]
	for _, s := range sides[1:] {
		s.port = s.server.ask("%s 0.0.0.0 %d", verb, readyPort)[0]
	}
	return sides
}

// minRounds is enough for a median.
const minRounds = 11

// rounds has the sides take turns, in another order each time, for the time of a
// benchmark and minRounds at least.
func rounds(b *testing.B, turns []*side, turn func(*side)) {
	b.Helper()
	n := 0
	round := func() {
		n++
		for i := range turns {
			turn(turns[(i+n)%len(turns)])
		}
	}
	for b.Loop() {
		round()
	}
	for n < minRounds {
		round()
	}
	b.ReportMetric(0, "ns/op") // of a whole round: says nothing
	b.ReportMetric(float64(n), "rounds")
}
