package intercept

import (
	"testing"
	"time"

	"upall/intercept/registry"
	"upall/internal/event"
)

// wantRefused checks the end of a blocking connect that is refused: in an early
// listener it has succeeded before, and is reset.
func (l *lab) wantRefused(client *performer, fd int, called <-chan string) {
	l.t.Helper()
	if l.way.Way != event.Early {
		client.want(called, "ECONNREFUSED")
		return
	}
	client.want(called, "ok")
	if got := client.do("read %d", fd); got != "ECONNRESET" && got != "EPIPE" {
		l.t.Errorf("read: %s", got)
	}
}

// TestKernelHoldTimeout: the client gets the natural error.
func TestKernelHoldTimeout(t *testing.T) {
	forWays(t, allWays(), func(_ *testing.T, l *lab) {
		server := l.add("server", l.serves)
		client := l.add("client", func(in *Instance) { in.HoldTimeout = 300 * time.Millisecond }).start()
		fd := client.tcp()
		called := client.begin("-", "connect %d %s", fd, server.at(port))
		l.waitHolds(1)
		l.wantRefused(client, fd, called)
		l.waitEnds(1, event.Expired)
	})
}

// TestKernelRefusedInContainer: who is refused though its server is there, or may
// still come, is told so, and does not try again behind our back.
func TestKernelRefusedInContainer(t *testing.T) {
	for _, test := range []struct {
		name    string
		failing bool // the job: else the server does not come in time
		want    event.End
	}{
		{"by a job that fails", true, event.Refused},
		{"by the hold timeout", false, event.Expired},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t, parked())
			forClient, forServer := joined(t)
			server := l.container("server", forServer, serverAt, l.serves)
			job := l.add("job").start()
			client := l.container("client", forClient, clientAt, func(in *Instance) {
				in.HoldTimeout = 300 * time.Millisecond
				if test.failing {
					in.Requires = []registry.Requirement{{Service: "job", Condition: registry.ServiceCompleted, Required: true}}
				}
			}).start()
			if test.failing {
				server.start().listener("0.0.0.0", port)
			}
			called := client.begin("-", "connect %d %s", client.tcp(), server.at(port))
			l.waitHolds(1)
			l.waitParked(1)
			if test.failing {
				job.end(1)
			}
			client.want(called, "ECONNREFUSED")
			l.waitEnds(1, test.want)
		})
	}
}

// TestKernelShorterTimeout: the one who came later and waits less is refused, and
// not who waits before it.
func TestKernelShorterTimeout(t *testing.T) {
	forWays(t, allWays(), func(t *testing.T, l *lab) {
		server := l.add("server", l.serves)
		patient := l.add("patient").start()
		hasty := l.add("hasty", func(in *Instance) { in.HoldTimeout = 200 * time.Millisecond }).start()
		first, second := patient.tcp(), hasty.tcp()
		waits := patient.begin("-", "connect %d %s", first, server.at(port))
		l.waitHolds(1)
		called := hasty.begin("-", "connect %d %s", second, server.at(port))
		l.waitHolds(2)
		l.wantRefused(hasty, second, called)
		l.waitEnds(1, event.Expired)
		listener := server.start().listener("0.0.0.0", port)
		patient.want(waits, "ok")
		exchange(t, patient, first, server, listener, false)
	})
}

// TestKernelServerExits: nobody waits for who does not come.
func TestKernelServerExits(t *testing.T) {
	forWays(t, allWays(), func(t *testing.T, l *lab) {
		client, server := l.pair()
		fd := client.tcp()
		called := client.begin("-", "connect %d %s", fd, server.at(port))
		l.waitHolds(1)
		server.start().end(1)
		l.wantRefused(client, fd, called)
		l.waitEnds(1, event.Refused)
		if got := client.do("connect %d %s", client.tcp(), server.at(port)); got != "ECONNREFUSED" {
			t.Errorf("a connect after the end: %s", got)
		}
	})
}

// TestKernelWrongPort: a port that a settled server does not have is refused at
// once.
func TestKernelWrongPort(t *testing.T) {
	forWays(t, allWays(), func(t *testing.T, l *lab) {
		client, server := l.pair()
		server.start().listener("0.0.0.0", port)
		if got := client.do("connect %d %s", client.tcp(), server.at(port+1)); got != "ECONNREFUSED" {
			t.Errorf("connect: %s", got)
		}
		l.waitHolds(0)
		l.waitEnds(1, event.Refused)
	})
}

// TestKernelNoHold: whoever is never held sees what there is.
func TestKernelNoHold(t *testing.T) {
	forWays(t, allWays(), func(t *testing.T, l *lab) {
		server := l.add("server", l.serves)
		client := l.add("client", func(in *Instance) { in.NoHold = true }).start()
		if got := client.do("connect %d %s", client.tcp(), server.at(port)); got != "ECONNREFUSED" {
			t.Errorf("connect before the server listens: %s", got)
		}
		server.start().listener("0.0.0.0", port)
		client.must("connect %d %s", client.tcp(), server.at(port))
		l.waitHolds(0)
	})
}

// TestKernelSelf: a program's connects to itself are held only if that is wanted.
func TestKernelSelf(t *testing.T) {
	for _, target := range []string{"127.0.0.1", "::1", "own"} {
		t.Run(target, func(t *testing.T) {
			forWays(t, allWays(), func(_ *testing.T, l *lab) {
				server := l.add("server", l.serves).start()
				l.testSelf(server, target, false)
				holding := l.add("holding", l.serves, func(in *Instance) { in.HoldSelf = true }).start()
				l.testSelf(holding, target, true)
			})
		})
	}
}

func (l *lab) testSelf(p *performer, target string, isHeld bool) {
	l.t.Helper()
	family, to := "4", target
	switch target {
	case "own":
		to = p.addr.String()
	case "::1":
		family = "6"
	}
	early := p.number("socket %s stream", family)
	called := p.begin("t", "connect %d %s %d", early, to, port)
	if isHeld {
		l.waitHolds(1)
	} else {
		p.want(called, "ECONNREFUSED")
	}
	listener := p.listener("0.0.0.0", port)
	if isHeld {
		p.want(called, "ok")
		exchange(l.t, p, early, p, listener, false)
	}
	fd := p.number("socket %s stream", family)
	p.must("connect %d %s %d", fd, to, port)
	exchange(l.t, p, fd, p, listener, false)
}
