package intercept

import (
	"fmt"
	"strconv"
	"syscall"
	"testing"
	"time"

	"upall/internal/event"
	"upall/internal/linux"
	"upall/internal/testenv"
)

// TestKernelSendTimeout: SO_SNDTIMEO ends a connect as without upall.
func TestKernelSendTimeout(t *testing.T) {
	const timeout = 700 * time.Millisecond
	forWays(t, []way{parked(), kept()}, func(t *testing.T, l *lab) {
		client, server := l.pair()
		fd := client.tcp()
		client.must("sndtimeo %d %d", fd, timeout.Milliseconds())
		began := time.Now()
		if got := client.do("connect %d %s", fd, server.at(port)); got != "EINPROGRESS" {
			t.Errorf("connect: %s", got)
		}
		if took := time.Since(began); took < timeout {
			t.Errorf("it ended after %v", took)
		}
		if l.way.Way == event.Kept {
			l.waitEnds(1, event.Canceled)
			return
		}
		server.start().listener("0.0.0.0", port)
		l.waitEnds(1, event.Released)
		if got := client.do("poll %d out", fd); got != "ok" {
			t.Errorf("the connect that went on: %s", got)
		}
	})
}

// TestKernelSignal: a signal handler interrupts a parked connect as it does any
// other, and the connect goes on.
func TestKernelSignal(t *testing.T) {
	for _, test := range []struct{ handler, want string }{{"interrupt", "EINTR"}, {"restart", "ok"}} {
		t.Run(test.handler, func(t *testing.T) {
			l := newLab(t, parked())
			client, server := l.pair()
			client.must("handle %d %s", syscall.SIGALRM, test.handler)
			fd := client.tcp()
			called := client.begin("-", "connect %d %s", fd, server.at(port))
			l.waitHolds(1)
			l.waitParked(1)
			client.signal(syscall.SIGALRM)
			client.waitSignals(1)
			if test.want == "EINTR" {
				client.want(called, "EINTR")
				// As programs do that try again: the kernel waits for the same connect.
				called = client.begin("-", "connect %d %s", fd, server.at(port))
			}
			server.start().listener("0.0.0.0", port)
			client.want(called, "ok")
			client.want(client.begin("-", "poll %d out", fd), "ok")
			l.waitEnds(1, event.Released)
			l.waitHolds(1)
		})
	}
}

// waitSignals waits until the actor has handled n signals.
func (a *actor) waitSignals(n int) {
	a.t.Helper()
	testenv.Eventually(a.t, patience, func() error {
		got := a.answer(a.begin("t", "signals"))
		if have, err := strconv.Atoi(got); err != nil || have < n {
			return fmt.Errorf("%s signals handled, want %d", got, n)
		}
		return nil
	})
}

// TestKernelSignalsRestart: where signals interrupt kept calls, each restart
// replaces the hold before.
func TestKernelSignalsRestart(t *testing.T) {
	l := newLab(t, kept().without(linux.WaitKillable))
	client, server := l.pair()
	client.must("handle %d restart", syscall.SIGALRM)
	fd := client.tcp()
	client.must("alarm 100 100")
	called := client.begin("-", "connect %d %s", fd, server.at(port))
	const restarts = 5
	testenv.Eventually(t, patience, func() error {
		var open, keptNow int
		l.do(func() { open, keptNow = len(l.holds), len(l.kept) })
		if open > 1 || keptNow != open {
			t.Fatalf("%d holds at once, %d kept", open, keptNow)
		}
		if n := len(l.all(isBegun)); n < restarts {
			return fmt.Errorf("%d holds have begun, want %d", n, restarts)
		}
		return nil
	})
	// Else the last call may be interrupted too, and come again when it need not wait.
	client.want(client.begin("t", "alarm 0"), "ok")
	server.start().listener("0.0.0.0", port)
	client.want(called, "ok")
	ends := l.all(isEnded)
	if len(ends) != len(l.all(isBegun)) || ends[len(ends)-1].End != event.Released {
		t.Errorf("holds ended: %s", describe(ends...))
	}
	for _, e := range ends[:len(ends)-1] {
		if e.End != event.Canceled {
			t.Errorf("an interrupted one: %s", describe(e))
		}
	}
}

// TestKernelSignalsDelayed: where the kernel can, a kept call is not interrupted.
func TestKernelSignalsDelayed(t *testing.T) {
	testenv.Need(t, linux.HasWaitKillable(), "held calls that ignore signals (Linux 5.19)")
	l := newLab(t, kept())
	client, server := l.pair()
	client.must("handle %d restart", syscall.SIGALRM)
	fd := client.tcp()
	called := client.begin("-", "connect %d %s", fd, server.at(port))
	l.waitHolds(1)
	client.signal(syscall.SIGALRM)
	server.start().listener("0.0.0.0", port)
	client.want(called, "ok")
	client.waitSignals(1)
	l.waitHolds(1)
}

// TestKernelTerm: a deadly signal ends a held program at once.
func TestKernelTerm(t *testing.T) {
	forWays(t, []way{parked(), kept(), kept().without(linux.WaitKillable)}, func(_ *testing.T, l *lab) {
		client, server := l.pair()
		called := client.begin("-", "connect %d %s", client.tcp(), server.at(port))
		l.waitHolds(1)
		client.signal(syscall.SIGTERM)
		client.want(called, dead)
		l.waitEnds(1, event.Canceled)
	})
}

// TestKernelAnswer: a program that is to stop gets its calls back before.
func TestKernelAnswer(t *testing.T) {
	l := newLab(t, kept())
	client, server := l.pair()
	called := client.begin("-", "connect %d %s", client.tcp(), server.at(port))
	l.waitHolds(1)
	l.Answer("client")
	client.want(called, "ECONNREFUSED")
	l.waitEnds(1, event.Canceled)
}
