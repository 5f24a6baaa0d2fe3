package intercept

import (
	"fmt"
	"testing"

	"upall/intercept/registry"
	"upall/internal/event"
	"upall/internal/linux"
	"upall/internal/testenv"
)

// healthWays are those in which a connect can wait for health. Where early
// listeners are used, this one is kept.
func healthWays() []way {
	return []way{parked(), kept(), {event.Kept, linux.Disabled{linux.Park}}}
}

// hasHealth is serves with a healthcheck; an early listener is allowed.
func hasHealth(in *Instance) {
	in.Ports, in.Early, in.HasHealth = []uint16{port}, []uint16{port}, true
}

// TestKernelHealth: a connect to what listens waits until it is healthy, that of
// the healthcheck itself does not.
func TestKernelHealth(t *testing.T) {
	forWays(t, healthWays(), func(t *testing.T, l *lab) {
		server, client := l.add("server", hasHealth), l.add("client").start()
		fd := client.tcp()
		called := client.begin("-", "connect %d %s", fd, server.at(port))
		l.waitHolds(1)
		listener := server.start().listener("0.0.0.0", port)
		check := server.session()
		check.must("connect %d 127.0.0.1 %d", check.tcp(), port)
		server.number("accept %d", listener)
		l.waitEnds(0, "")
		l.Health("server", registry.Healthy)
		client.want(called, "ok")
		l.waitEnds(1, event.Released)
		exchange(t, client, fd, server, listener, false)
		client.must("connect %d %s", client.tcp(), server.at(port))
		l.waitHolds(1)
	})
}

// TestKernelHealthUndeclared: the healthcheck of a process reaches its listener on
// localhost, though the port is declared nowhere and others wait for it. When it
// has ended, localhost is the host's again.
func TestKernelHealthUndeclared(t *testing.T) {
	forWays(t, healthWays(), func(t *testing.T, l *lab) {
		server, client := l.add("server", func(in *Instance) { in.HasHealth = true }), l.add("client").start()
		listener := server.start().listener("0.0.0.0", port)
		called := client.begin("-", "connect %d %s", client.tcp(), server.at(port))
		l.waitHolds(1)
		check := server.session()
		check.must("connect %d 127.0.0.1 %d", check.tcp(), port)
		server.must("close %d", listener)
		check.kill()
		server.end(1)
		client.want(called, "ECONNREFUSED")
		l.do(func() {
			if listens := l.routes.Load().listens; len(listens) > 0 {
				t.Errorf("an instance that has ended listens on %v", listens)
			}
		})
	})
}

// TestKernelHealthLearned: an image's healthcheck is known after Add.
func TestKernelHealthLearned(t *testing.T) {
	forWays(t, healthWays(), func(t *testing.T, l *lab) {
		client, server := l.pair()
		l.SetHasHealth("server", true)
		listener := server.start().listener("0.0.0.0", port)
		fd := client.tcp()
		called := client.begin("-", "connect %d %s", fd, server.at(port))
		l.waitHolds(1)
		l.SetHasHealth("server", false)
		client.want(called, "ok")
		exchange(t, client, fd, server, listener, false)
	})
}

// TestKernelUnhealthy: a healthcheck that gives up refuses who requires it, and
// lets the others go on with one warning.
func TestKernelUnhealthy(t *testing.T) {
	forWays(t, healthWays(), func(t *testing.T, l *lab) {
		server, other := l.add("server", hasHealth), l.add("other").start()
		client := l.add("client", func(in *Instance) {
			in.Requires = []registry.Requirement{{Service: "server", Condition: registry.ServiceHealthy, Required: true}}
		}).start()
		server.start().listener("0.0.0.0", port)
		refused := client.begin("-", "connect %d %s", client.tcp(), server.at(port))
		released := other.begin("-", "connect %d %s", other.tcp(), server.at(port))
		l.waitHolds(2)
		l.Health("server", registry.Unhealthy)
		client.want(refused, "ECONNREFUSED")
		other.want(released, "ok")
		other.must("connect %d %s", other.tcp(), server.at(port))
		if got := client.do("connect %d %s", client.tcp(), server.at(port)); got != "ECONNREFUSED" {
			t.Errorf("a later connect of who requires it: %s", got)
		}
		l.wantWarnings("its connects to server go on: server is unhealthy, and it listens")
	})
}

// TestKernelOptionalJob: one that fails is told, and its client goes on.
func TestKernelOptionalJob(t *testing.T) {
	forWays(t, []way{parked(), kept()}, func(t *testing.T, l *lab) {
		server, job := l.add("server", l.serves), l.add("job").start()
		client := l.add("client", func(in *Instance) {
			in.Requires = []registry.Requirement{{Service: "job", Condition: registry.ServiceCompleted}}
		}).start()
		listener := server.start().listener("0.0.0.0", port)
		fd := client.tcp()
		called := client.begin("-", "connect %d %s", fd, server.at(port))
		l.waitHolds(1)
		job.end(3)
		client.want(called, "ok")
		exchange(t, client, fd, server, listener, false)
		l.wantWarnings("its connects go on: optional job job exited with code 3")
	})
}

// TestKernelHealthCycle: who waits for health alone, in a cycle, is let through.
func TestKernelHealthCycle(t *testing.T) {
	forWays(t, healthWays(), func(t *testing.T, l *lab) {
		server, client := l.add("server", hasHealth), l.add("client").start()
		listener := server.start().listener("0.0.0.0", port)
		fd := client.tcp()
		called := client.begin("-", "connect %d %s", fd, server.at(port))
		check := server.session()
		asked := check.begin("-", "connect %d %s", check.tcp(), client.at(port))
		l.waitHolds(2)
		client.want(called, "ok")
		exchange(t, client, fd, server, listener, false)
		cycles := l.all(func(e event.Event) bool { return e.Type == event.CycleFound })
		if len(cycles) != 1 || fmt.Sprint(cycles[0].Members) != "[client server]" {
			t.Errorf("cycles %v", cycles)
		}
		client.listener("0.0.0.0", port)
		check.want(asked, "ok")
	})
}

// wantWarnings waits for these warnings, and no more.
func (l *lab) wantWarnings(want ...string) {
	l.t.Helper()
	testenv.Eventually(l.t, patience, func() error {
		var got []string
		for _, e := range l.all(func(e event.Event) bool { return e.Type == event.Warning }) {
			got = append(got, e.Message)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			return fmt.Errorf("warnings %q, want %q", got, want)
		}
		return nil
	})
}
