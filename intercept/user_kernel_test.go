package intercept

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"upall/internal/event"
	"upall/internal/testenv"
)

// TestKernelOrdinaryUser runs tests again without any privilege.
func TestKernelOrdinaryUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("the tests run as an ordinary user already")
	}
	upLoopback(t)
	user := testenv.OrdinaryUser(t)
	program, err := compiled()
	if err != nil {
		t.Fatal(err)
	}
	command := user.Command(t, user.Install(t, "/proc/self/exe"), "-test.v",
		"-test.run", "^TestKernel(BindProbe|ReusePort|Workers|Prefork|HoldTimeout|ShorterTimeout|ServerExits|Restart|Privileged|ClientDies|Term|Killed.*)$/(kept|early)")
	command.Env = append(command.Env, insideVariable+"=1", actorVariable+"="+user.Install(t, program), testenv.RequireVariable+"=")
	out, err := command.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestKernelPrivileged/early_listener") {
		t.Errorf("as %s: %v\n%s", user.Name, err, out)
	}
}

// TestKernelPrivileged: a port that only root may bind is elsewhere for others,
// and clients do not notice.
func TestKernelPrivileged(t *testing.T) {
	const privileged = 80
	for _, kind := range []string{"4 stream", "4 stream 0 nonblock", "6 stream"} {
		forWays(t, []way{kept(), early()}, func(t *testing.T, l *lab) {
			server := l.add("server", func(in *Instance) {
				in.Ports = []uint16{privileged}
				if l.way.Way == event.Early {
					in.Early = in.Ports
				}
			})
			client := l.add("client").start()
			target := fmt.Sprintf("%s %d", server.addr, privileged)
			if strings.HasPrefix(kind, "6") {
				target = "::ffff:" + target
			}
			for round := range 2 { // the second is not held
				fd := client.number("socket %s", kind)
				called := client.begin("-", "connect %d %s", fd, target)
				if round == 0 {
					l.waitHolds(1)
					server.start().listener("0.0.0.0", privileged)
				}
				if got := client.answer(called); got != "ok" && got != "EINPROGRESS" {
					t.Errorf("connect: %s", got)
				}
				client.want(client.begin("-", "poll %d out", fd), "ok")
				exchange(t, client, fd, server, 3, false)
			}
			l.waitEnds(1, event.Released)
			if name := server.do("name 3"); os.Geteuid() != 0 && !strings.HasSuffix(name, ":10080") {
				t.Errorf("an ordinary user's server listens on %s", name)
			}
		})
	}
}

// TestKernelFastOpenElsewhere: data cannot be sent to another place than the one
// asked for, so the program is told to connect plainly.
func TestKernelFastOpenElsewhere(t *testing.T) {
	forWays(t, allWays(), func(t *testing.T, l *lab) {
		server := l.add("server", l.serves).start()
		server.listener("0.0.0.0", port)
		fd := server.tcp()
		if got := server.do("sendto %d 127.0.0.1 %d abc", fd, port); got != "EOPNOTSUPP" {
			t.Errorf("sendto: %s", got)
		}
		server.must("connect %d 127.0.0.1 %d", fd, port)
	})
}
