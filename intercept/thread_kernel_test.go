package intercept

import (
	"testing"

	"golang.org/x/sys/unix"

	"upall/intercept/seccomp"
	"upall/intercept/shim"
	"upall/internal/event"
	"upall/internal/linux"
	"upall/internal/testenv"
)

// TestKernelThread: threads are held like processes, also where the kernel gives
// descriptors of their leader only.
func TestKernelThread(t *testing.T) {
	for name, less := range map[string][]linux.Feature{"thread": nil, "leader": {linux.PIDFDThread}} {
		t.Run(name, func(t *testing.T) {
			forWays(t, []way{parked().without(less...), kept().without(less...), early().without(less...)}, func(t *testing.T, l *lab) {
				client, server := l.pair()
				fd := client.tcp()
				called := client.begin("t", "connect %d %s", fd, server.at(port))
				l.waitHolds(1)
				listener := server.start().listener("0.0.0.0", port)
				client.want(called, "ok")
				exchange(t, client, fd, server, listener, false)
				l.waitEnds(1, event.Released)
			})
		})
	}
}

// TestKernelOwnFiles: a thread with descriptors of its own is held by its own
// socket, or not at all, but never by one of its leader's.
func TestKernelOwnFiles(t *testing.T) {
	test := func(t *testing.T, l *lab, isHeld bool) {
		client, server := l.pair()
		fd := client.tcp() // the thread's socket of the same number is another
		called := client.begin("u", "swap %d %s", fd, server.at(port))
		if isHeld {
			l.waitHolds(1)
			l.waitParked(1)
			server.start().listener("0.0.0.0", port)
			client.want(called, "ok")
		} else {
			client.want(called, "ECONNREFUSED")
			l.waitHolds(0)
		}
		if mark := client.number("get %d %d %d", fd, unix.SOL_SOCKET, unix.SO_MARK); mark != 0 {
			t.Errorf("the leader's socket has mark %#x", mark)
		}
	}
	t.Run("thread", func(t *testing.T) {
		testenv.Need(t, linux.HasPIDFDThread(), "descriptors of threads (Linux 6.9)")
		forWays(t, []way{parked(), kept()}, func(t *testing.T, l *lab) { test(t, l, true) })
	})
	t.Run("leader", func(t *testing.T) {
		forWays(t, []way{parked().without(linux.PIDFDThread), kept().without(linux.PIDFDThread)},
			func(t *testing.T, l *lab) { test(t, l, false) })
	})
}

// TestKernelIOURing: io_uring, which connects unseen, is not there unless it is
// wanted.
func TestKernelIOURing(t *testing.T) {
	plain := play(t, nil, "").do("iouring")
	l := newLab(t, kept())
	if got := l.add("client").start().do("iouring"); got != "ENOSYS" {
		t.Errorf("io_uring_setup: %s", got)
	}
	allowed := l.add("allowed").start(func(f *seccomp.Filter, _ *shim.Options) { f.AllowIOURing = true })
	if got := allowed.do("iouring"); got != plain {
		t.Errorf("io_uring_setup where it is allowed: %s, and without a filter: %s", got, plain)
	}
}

// TestKernelMalformed: calls that are not upall's business end as without it.
func TestKernelMalformed(t *testing.T) {
	forWays(t, allWays(), func(t *testing.T, l *lab) {
		client, server := l.pair()
		order := "malformed " + server.at(port)
		want := play(t, nil, "").do("%s", order)
		if got := client.do("%s", order); got != want {
			t.Errorf("with the filter:\n%s\nwithout:\n%s", got, want)
		}
		l.waitHolds(0)
	})
}
