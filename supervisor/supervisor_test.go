package supervisor

import (
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"upall/compose"
	"upall/internal/event"
	"upall/internal/linux"
	"upall/supervisor/process"

	_ "upall/intercept/shim"
)

// project is a plan under test, and what it reported.
type project struct {
	plan   compose.Plan
	events []event.Event
	mu     sync.Mutex
}

func (p *project) add(name, script string, ports ...uint16) {
	s := compose.Service{
		Name: name, Runtime: compose.Process, Names: []string{name},
		Instances: []compose.Instance{{Name: name + "-1", Index: 1}},
		Command:   []string{"python3", "-u", "-c", script}, Dir: "/", StopGrace: 10 * time.Second, Attach: true,
		Settings: compose.Settings{HoldTimeout: 20 * time.Second, Hold: compose.HoldPeers, Ready: compose.ReadyHealthy},
	}
	for _, port := range ports {
		s.Ports = append(s.Ports, compose.Port{Number: port, Protocol: "tcp"})
	}
	p.plan.Services = append(p.plan.Services, s)
}

func (p *project) up(t *testing.T, disabled ...linux.Feature) int {
	t.Helper()
	p.plan.Name = strings.ToLower(strings.ReplaceAll(t.Name(), "/", "-"))
	base, err := os.MkdirTemp("", "upall-") // a short name: the path of a unix socket is limited
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(base) })
	state, err := process.OpenState(base, p.plan.Name)
	if err != nil {
		t.Fatal(err)
	}
	addr := state.Prefix.Addr().Next()
	for n := range p.plan.Services {
		for i := range p.plan.Services[n].Instances {
			addr = addr.Next()
			p.plan.Services[n].Instances[i].Addr = addr
			p.plan.Services[n].Instances[i].Addr2 = second(addr)
		}
	}
	bus := event.NewBus(func(e event.Event) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.events = append(p.events, e)
	})
	code, err := Up(t.Context(), &p.plan, Options{
		State: state, Env: os.Environ(), Bus: bus, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
		Disabled: disabled, Intercept: true, HoldTimeout: 20 * time.Second,
	}, Control{})
	bus.Close()
	if err != nil {
		t.Fatal(err)
	}
	if err := state.Close(); err != nil {
		t.Error(err)
	}
	for _, e := range p.events {
		t.Logf("%s %-14s %s %s:%d %s %s %s %v %s %s", e.Time.Format("05.000"), e.Type, e.Instance, e.Target, e.Port, e.State, e.Way, e.End, e.Elapsed, e.Cause, e.Message)
	}
	return code
}

func second(a netip.Addr) netip.Addr {
	b := a.As4()
	b[2] += 8
	return netip.AddrFrom4(b)
}

func (p *project) ended(t *testing.T, end event.End, way event.Way, want int) {
	t.Helper()
	n := 0
	for _, e := range p.events {
		if e.Type == event.HoldEnded && e.End == end && e.Way == way {
			n++
		}
	}
	if n != want {
		t.Errorf("%d holds (%s) ended with %q, want %d", n, way, end, want)
	}
}

const server = `
import socket, time
time.sleep(1)
s = socket.socket(); s.bind(("", 7000)); s.listen()
c, _ = s.accept(); c.send(b"hello"); c.close()
`

const client = `
import socket
s = socket.create_connection(("db", 7000))
assert s.recv(9) == b"hello"
`

func TestKernelHold(t *testing.T) {
	for name, tt := range map[string]struct {
		disabled []linux.Feature
		way      event.Way
	}{
		"parked":                 {nil, event.Parked},
		"parked, xtables, owned": {[]linux.Feature{linux.NativeQueue}, event.Parked},
		"parked, not owned":      {[]linux.Feature{linux.TableOwner}, event.Parked},
		"parked, leader":         {[]linux.Feature{linux.PIDFDThread, linux.SyncWakeUp}, event.Parked},
		"early":                  {[]linux.Feature{linux.Park}, event.Early},
		"kept":                   {[]linux.Feature{linux.Park, linux.EarlyListen}, event.Kept},
		"kept, interruptible":    {[]linux.Feature{linux.Park, linux.EarlyListen, linux.WaitKillable}, event.Kept},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var p project
			p.add("db", server, 7000)
			p.add("web", client)
			if code := p.up(t, tt.disabled...); code != 0 {
				t.Errorf("exit code %d", code)
			}
			p.ended(t, event.Released, tt.way, 1)
		})
	}
}

func TestKernelRefused(t *testing.T) {
	t.Parallel()
	var p project
	p.add("db", "import time; time.sleep(1); raise SystemExit(3)", 7000)
	p.add("web", `
import socket
try:
    socket.create_connection(("db", 7000))
except ConnectionRefusedError:
    raise SystemExit(7)
`)
	if code := p.up(t); !slices.Contains([]int{3, 7}, code) {
		t.Errorf("exit code %d", code)
	}
	p.ended(t, event.Refused, event.Parked, 1)
}
