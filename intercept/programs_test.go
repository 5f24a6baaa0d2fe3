package intercept

import (
	"cmp"
	_ "embed"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"upall/intercept/registry"
	"upall/intercept/seccomp"
	"upall/intercept/shim"
	"upall/internal/event"
	"upall/internal/linux"
	"upall/internal/testenv"
)

// add makes an instance known in this life and the next ones.
func (l *lives) add(in described) described {
	l.t.Helper()
	in.Metadata, in.Service, in.HoldTimeout = "test:"+in.Name, in.Name, cmp.Or(l.holdTimeout, time.Minute)
	o := order{Do: "add", Instance: &in}
	l.tell(o)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.added = append(l.added, o)
	return in
}

// process is an instance of the process runtime.
func (l *lives) process(name string, w way) described {
	l.t.Helper()
	n := byte(len(l.added) + 1)
	in := described{
		Instance: registry.Instance{Name: name, Addrs: []netip.Addr{netip.AddrFrom4([4]byte{127, 78, 0, n})}, Ports: []uint16{port}},
		Rewrite:  true, Second: netip.AddrFrom4([4]byte{127, 78, 1, n}),
	}
	if w.Way == event.Early {
		in.Early, in.OnDemand = in.Ports, true
	}
	return l.add(in)
}

// container is an instance in a network namespace of its own.
func (l *lives) container(name string, at netip.Prefix) described {
	l.t.Helper()
	return l.add(described{Instance: registry.Instance{Name: name, Addrs: []netip.Addr{at.Addr()}, Ports: []uint16{port}}})
}

// run starts an instance's program under the shim.
func (l *lives) run(in described, ns *testenv.NetNS, program string) *actor {
	l.t.Helper()
	l.tell(order{Do: "started", Name: in.Name})
	state, err := seccomp.MarshalState(in.Metadata)
	if err != nil {
		l.t.Fatal(err)
	}
	dir := l.t.TempDir()
	o := shim.Options{
		State: filepath.Join(dir, "state"), Socket: l.options.Socket, Filter: filterFile(l.t, dir, seccomp.Filter{Bind: in.Rewrite}),
		WaitKillable: linux.HasWaitKillable(),
	}
	if err := os.WriteFile(o.State, state, 0o600); err != nil {
		l.t.Fatal(err)
	}
	var a *actor
	begin := func() error {
		a = play(l.t, &o, program)
		return nil
	}
	if ns != nil {
		ns.Do(l.t, begin)
	} else {
		_ = begin()
	}
	return a
}

//go:embed testdata/actor.py
var pythonProgram []byte

// pythonActor writes a program that is an actor in Python.
func pythonActor(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "actor.py")
	if err := os.WriteFile(path, pythonProgram, 0o700); err != nil { //nolint:gosec // it is executed
		t.Fatal(err)
	}
	return path
}

// goActor writes a program that is this test binary as an actor in Go.
func goActor(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "actor")
	script := fmt.Sprintf("#!/bin/sh\n%s=actor exec %s\n", lifeVariable, self)
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil { //nolint:gosec // it is executed
		t.Fatal(err)
	}
	return path
}
