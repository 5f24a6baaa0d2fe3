package intercept

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os/exec"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"upall/internal/event"
	"upall/internal/testenv"
)

// TestKernelKilled: the process of the interceptor is killed at random moments while
// clients of many kinds connect and servers start. No connect fails, each hold ends
// once and well, and nothing is lost.
func TestKernelKilled(t *testing.T) {
	testenv.NeedProgram(t, "python3")
	for _, w := range allWays() {
		t.Run(string(w.Way), func(t *testing.T) { killRounds(t, w, false) })
	}
	t.Run("containers", func(t *testing.T) { killRounds(t, parked(), true) })
}

// killTimes is how often the interceptor is killed in each way.
const killTimes = 50

// crowdOf are the programs that connect, and those to which they do.
type crowdOf struct {
	*lives
	forClients, forServers *testenv.NetNS // nil: the tests' own
	ready                  []described    // servers that serve
	golang, python, c      *actor
	servers                []*actor
	running                int
	warned                 map[string]bool
}

// instance makes one known: in containers, clients have one namespace in common, as
// servers have.
func (x *crowdOf) instance(name string, w way, at netip.Prefix, n int) described {
	x.t.Helper()
	if x.forClients == nil {
		return x.process(name, w)
	}
	addr := at.Addr().As4()
	addr[3] += byte(n)
	in := netip.PrefixFrom(netip.AddrFrom4(addr), at.Bits())
	if n > 0 && at == serverAt {
		x.forServers.Do(x.t, func() error {
			return exec.Command("ip", "address", "add", in.String(), "dev", "eth0").Run()
		})
	}
	return x.container(name, in)
}

func killRounds(t *testing.T, w way, containers bool) {
	l := newLives(t, w)
	inGo, inPython := goActor(t), pythonActor(t)
	x := &crowdOf{lives: l, warned: map[string]bool{}}
	if containers {
		x.forClients, x.forServers = joined(t)
	}
	x.golang = l.run(x.instance("golang", w, clientAt, 100), x.forClients, inGo)
	x.python = l.run(x.instance("python", w, clientAt, 101), x.forClients, inPython)
	x.c = l.run(x.instance("c", w, clientAt, 102), x.forClients, "")
	listener := x.c.tcp()
	x.c.must("bind %d 0.0.0.0 %d", listener, ownPort)
	x.c.must("listen %d 4096", listener) // nobody accepts
	x.golang.want(x.golang.begin("-", "serve 0.0.0.0 %d", ownPort+1), "ok")
	x.running = 3
	var delays []time.Duration
	for round := range killTimes {
		server := x.instance(fmt.Sprint("server", round), w, serverAt, round)
		program := []string{inGo, inPython}[round%2]
		answers := x.connect(server, 2)
		own := x.connectItself()
		maps.Copy(answers, x.connectOften())
		moment := rand.N(20 * time.Millisecond)
		killed := make(chan time.Duration, 1)
		go func() {
			<-time.After(moment)
			if round%5 == 0 {
				l.killAgain()
			}
			killed <- l.kill()
		}()
		if round%3 > 0 {
			<-time.After(rand.N(10 * time.Millisecond))
		}
		a := l.run(server, x.forServers, program)
		x.running++
		x.servers = append(x.servers, a)
		a.want(a.begin("-", "serve %s %d", x.listensOn(server), port), "ok")
		x.check(round, moment, answers)
		delays = append(delays, <-killed)
		x.ready = append(x.ready, server)
		x.checkItself(round, moment, own)
		x.check(round, moment, x.connect(server, 1)) // ready
		if t.Failed() {
			break
		}
	}
	x.finish()
	slices.Sort(delays)
	if n := len(delays); n > 0 {
		t.Logf("from the kill to Resume: median %v, most %v", delays[n/2], delays[n-1])
	}
}

// ownPort is where the actor in C listens and connects to itself.
const ownPort uint16 = 9090

// connectItself has a client connect to itself over localhost: for a process, upall
// does that in its place, and makes its blocking socket non-blocking for a moment.
func (x *crowdOf) connectItself() map[int]<-chan string {
	answers := map[int]<-chan string{}
	for range 4 {
		fd := x.c.tcp()
		answers[fd] = x.c.begin("t", "connect %d 127.0.0.1 %d", fd, ownPort)
	}
	return answers
}

// connectOften connects to what serves, and to itself, all the time.
func (x *crowdOf) connectOften() map[string]<-chan string {
	answers := map[string]<-chan string{
		"go itself": x.golang.begin("-", "many 127.0.0.1 %d", ownPort+1),
	}
	if n := len(x.ready); n > 0 {
		answers["go often"] = x.golang.begin("-", "many %s %d", x.ready[n-1].Addrs[0], port)
	}
	return answers
}

func (x *crowdOf) checkItself(round int, moment time.Duration, answers map[int]<-chan string) {
	x.t.Helper()
	for fd, c := range answers {
		x.check(round, moment, map[string]<-chan string{"c itself": c})
		if flags := x.c.number("fcntl %d 3", fd); flags&unix.O_NONBLOCK != 0 {
			x.t.Errorf("round %d: a blocking socket is left non-blocking", round)
		}
		x.c.must("close %d", fd)
	}
}

// listensOn is the wildcard, unless others listen in the same namespace.
func (x *crowdOf) listensOn(server described) string {
	if x.forServers == nil {
		return "0.0.0.0"
	}
	return server.Addrs[0].String()
}

// connect has each client connect n times.
func (x *crowdOf) connect(to described, n int) map[string]<-chan string {
	answers := map[string]<-chan string{}
	for k := range n {
		answers[fmt.Sprint("go", k)] = x.golang.begin("-", "dial %s %d", to.Addrs[0], port)
		answers[fmt.Sprint("python", k)] = x.python.begin("-", "dial %s %d", to.Addrs[0], port)
		fd := x.c.tcp()
		x.c.must("sndtimeo %d 20000", fd)
		answers[fmt.Sprint("c", k)] = x.c.begin("t", "connect %d %s %d", fd, to.Addrs[0], port)
	}
	return answers
}

func (x *crowdOf) check(round int, moment time.Duration, answers map[string]<-chan string) {
	x.t.Helper()
	for who, c := range answers {
		select {
		case got := <-c:
			if got != "ok" {
				x.t.Errorf("round %d, killed at %v: %s: %s", round, moment, who, got)
			}
		case <-time.After(patience):
			x.t.Errorf("round %d, killed at %v: %s does not connect: %v", round, moment, who, x.tell(order{Do: "state"}).State)
		}
	}
}

// finish looks what is left at the end.
func (x *crowdOf) finish() {
	x.t.Helper()
	testenv.Eventually(x.t, patience, func() error {
		if s := x.tell(order{Do: "state"}).State; s["holds"] != 0 || s["records"] != 0 || s["sources"] != x.running {
			return fmt.Errorf("it has %v, want no holds, %d sources", s, x.running)
		}
		return nil
	})
	x.checkHolds()
	for _, a := range append(x.servers, x.golang, x.python, x.c) {
		a.kill()
	}
	x.mu.Lock()
	added := slices.Clone(x.added)
	x.mu.Unlock()
	for _, o := range added {
		x.tell(order{Do: "ended", Name: o.Instance.Name, Final: true})
	}
	testenv.Eventually(x.t, patience, func() error {
		if s := x.tell(order{Do: "state"}).State; s["sources"] != 0 {
			return errors.New("sources stay")
		}
		return nil
	})
}

// checkHolds: each hold began and ended, well; both, and a warning, may be told
// twice, if the interceptor was killed before it had noted that it told.
func (x *crowdOf) checkHolds() {
	x.t.Helper()
	x.mu.Lock()
	defer x.mu.Unlock()
	began, ended := map[uint64]int{}, map[uint64]event.End{}
	again := 0
	for _, e := range x.events {
		switch e.Type {
		case event.HoldBegan:
			if began[e.Hold]++; began[e.Hold] > 1 {
				again++
			}
		case event.HoldEnded:
			if before, is := ended[e.Hold]; is {
				again++
				if before != e.End {
					x.t.Errorf("hold %d ended %s, then %s", e.Hold, before, e.End)
				}
			}
			ended[e.Hold] = e.End
			if began[e.Hold] == 0 {
				x.t.Errorf("it had not begun: %s", describe(e))
			}
			if e.End != event.Released {
				x.t.Errorf("%s", describe(e))
			}
		case event.Warning: // told before it is noted, too
			if key := e.Service + e.Message; x.warned[key] {
				again++
			} else {
				x.warned[key] = true
			}
		}
	}
	for id := range began {
		if _, is := ended[id]; !is {
			x.t.Errorf("hold %d did not end", id)
		}
	}
	if len(began) != len(ended) || len(began) == 0 {
		x.t.Errorf("%d holds began, %d ended", len(began), len(ended))
	}
	if again > x.life/2 {
		x.t.Errorf("%d events were told twice in %d lives", again, x.life)
	}
	x.t.Logf("%d holds, %d lives, %d events told twice", len(began), x.life, again)
}
