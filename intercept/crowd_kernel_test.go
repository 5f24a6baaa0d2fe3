package intercept

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"upall/internal/event"
)

// TestKernelCrowd: many clients of a slow server with a short accept queue are
// all connected, and parked ones without one SYN too many.
func TestKernelCrowd(t *testing.T) {
	for _, test := range []struct {
		way  way
		mode string
	}{{parked(), "nonblock"}, {parked(), "threads"}, {kept(), "threads"}} {
		t.Run(fmt.Sprint(test.way.Way, " ", test.mode), func(t *testing.T) { newLab(t, test.way).testCrowd(test.mode) })
	}
}

func (l *lab) testCrowd(mode string) {
	const crowd = 300
	client, server := l.pair()
	called := client.begin("-", "crowd %s %d %s", mode, crowd, server.at(port))
	l.waitHolds(crowd)
	l.waitParked(crowd)
	server.start()
	before := overflows(l.t, server)
	listener := server.tcp()
	server.must("bind %d 0.0.0.0 %d", listener, port)
	server.must("listen %d 5", listener)
	served := server.begin("-", "serve %d %d 2000", listener, crowd)
	client.want(called, fmt.Sprintf("%d ok", crowd))
	server.want(served, strconv.Itoa(crowd))
	l.waitEnds(crowd, event.Released)
	// A kept call goes on when its thread gets to run, so that nobody sees how many
	// are on their way. A parked SYN is in the accept queue with the verdict.
	if n := overflows(l.t, server) - before; n > 0 && l.way.Way == event.Parked {
		l.t.Errorf("the accept queue overflowed %d times", n)
	}
}

// overflows returns TcpExt ListenOverflows of the actor's network namespace.
func overflows(t *testing.T, a *performer) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/netstat", a.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.Split(text, []byte("\n"))
	names, values := strings.Fields(string(lines[0])), strings.Fields(string(lines[1]))
	for i, name := range names {
		if name != "ListenOverflows" {
			continue
		}
		n, err := strconv.Atoi(values[i])
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	t.Fatal("no ListenOverflows in /proc/net/netstat")
	return 0
}
