package supervisor

import (
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"upall/compose"
	"upall/internal/event"
	"upall/supervisor/control"

	_ "upall/intercept/shim"
)

// project is a plan under test, and what it reported.
type project struct {
	plan   compose.Plan
	events []event.Event
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

func (p *project) up(t *testing.T, disabled ...string) int {
	t.Helper()
	p.plan.Name = strings.ToLower(strings.ReplaceAll(strings.ReplaceAll(t.Name(), "/", "-"), ",", ""))
	base, err := os.MkdirTemp("", "upall-") // a short name: the path of a unix socket is limited
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(base) })
	listening, served := make(chan struct{}), make(chan error, 1)
	go func() {
		served <- Serve(t.Context(), Config{
			Project: p.plan.Name, Base: base, Life: 1, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
			Listening: func() { close(listening) },
		})
	}()
	select {
	case <-listening:
	case err := <-served:
		t.Fatal(err)
	}
	client, err := control.Dial(t.Context(), ControlSocket(base, p.plan.Name))
	if err != nil {
		t.Fatal(err)
	}
	code := p.run(t, client, disabled)
	if _, err := client.Act(t.Context(), control.Action{Verb: control.End}); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	for _, e := range p.events {
		t.Logf("%s %-14s %s %s:%d %s %s %s %v %s %s", e.Time.Format("05.000"), e.Type, e.Instance, e.Target, e.Port, e.State, e.Way, e.End, e.Elapsed, e.Cause, e.Message)
	}
	return code
}

// run applies the plan and follows it to its end.
func (p *project) run(t *testing.T, client *control.Client, disabled []string) (code int) {
	t.Helper()
	snapshot, err := client.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	addr := snapshot.Prefix.Addr().Next()
	for n := range p.plan.Services {
		for i := range p.plan.Services[n].Instances {
			addr = addr.Next()
			p.plan.Services[n].Instances[i].Addr = addr
			p.plan.Services[n].Instances[i].Addr2 = second(addr)
		}
	}
	_, err = client.Apply(t.Context(), &control.Spec{
		Plan: &p.plan, Env: os.Environ(), Disabled: strings.Join(disabled, ","), Intercept: true, HoldTimeout: 20 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	over := errors.New("over")
	err = client.Follow(t.Context(), control.FollowOptions{Since: snapshot.Seq, Logs: true}, func(r control.Record) error {
		p.events = append(p.events, r.Event)
		if r.Type == event.ProjectChanged && r.State == event.StateOver {
			code = r.Code
			return over
		}
		return nil
	})
	if !errors.Is(err, over) {
		t.Fatal(err)
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
		disabled []string
		way      event.Way
	}{
		"parked":                 {nil, event.Parked},
		"parked, xtables, owned": {[]string{"native_queue"}, event.Parked},
		"parked, not owned":      {[]string{"table_owner"}, event.Parked},
		"parked, leader":         {[]string{"pidfd_thread", "sync_wake_up"}, event.Parked},
		"early":                  {[]string{"park"}, event.Early},
		"kept":                   {[]string{"park", "early"}, event.Kept},
		"kept, interruptible":    {[]string{"park", "early", "wait_killable"}, event.Kept},
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
