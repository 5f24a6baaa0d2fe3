package park

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"upall/internal/linux"
	"upall/internal/testenv"
)

// TestKernelAdopt: what was parked, and what came while nobody read, is there for
// the next process, each once, and is accepted and refused as ever.
func TestKernelAdopt(t *testing.T) {
	for name, options := range map[string]Options{
		"defaults": {}, "no native queue": {DisableNativeQueue: true}, "no owner": {DisableOwner: true},
	} {
		for kindName, k := range kinds {
			if !k.nonBlocking && !k.mapped {
				continue
			}
			k.nonBlocking = true
			t.Run(name+"/"+kindName, func(t *testing.T) { adoptEachWay(t, options, k) })
		}
	}
}

func adoptEachWay(t *testing.T, options Options, k kind) {
	const each = 10
	lab := newLab(t, options)
	way := lab.parker.rules.way
	listener := lab.listen(t, k.address())
	to := addrOf(listener)
	clients := lab.park(t, k, to, each, true)
	data, kept := lab.crash(t)
	clients = append(clients, lab.park(t, k, to, each, false)...)
	lab.adopt(t, options, data, kept)
	if got := lab.parker.rules; got.way != way || len(got.tables) != len(families()) || !lab.parker.HasIPv6() {
		t.Errorf("adopted %+v", got)
	}
	ids := lab.seen(t, clients)
	clients = append(clients, lab.park(t, k, to, 1, false)...)
	maps.Copy(ids, lab.seen(t, clients[2*each:]))
	for i, c := range clients {
		verdict, want := lab.parker.Accept, error(nil)
		if i%2 == 1 {
			verdict, want = lab.parker.Refuse, unix.ECONNREFUSED
		}
		if err := verdict(ids[c.port(t)]); err != nil {
			t.Fatal(err)
		}
		if err := c.await(); !errors.Is(err, want) {
			t.Errorf("client %d: connect = %v, want %v", i, err, want)
		}
	}
	if n := len(lab.packets); n != 0 {
		t.Errorf("%d packets too many", n)
	}
}

// TestKernelAdoptRefusals: so do answers from where nobody listens.
func TestKernelAdoptRefusals(t *testing.T) {
	for _, disabled := range []bool{false, true} {
		for _, name := range []string{"IPv4 non-blocking", "IPv6 non-blocking"} {
			t.Run(fmt.Sprintf("no native queue %v/%s", disabled, name), func(t *testing.T) {
				k := kinds[name]
				refusals := make(chan Packet, 16)
				options := Options{DisableNativeQueue: disabled, HandleRefusal: func(p Packet) { refusals <- p }}
				lab := newLab(t, options)
				listener := lab.listen(t, k.address())
				to := addrOf(listener)
				if err := listener.Close(); err != nil {
					t.Fatal(err)
				}
				first := lab.dial(t, k, to, 0)
				receive(t, refusals, "an answer")
				data, kept := lab.crash(t)
				second := lab.dial(t, k, to, 0)
				lab.adopt(t, options, data, kept)
				for range 2 {
					p := receive(t, refusals, "an answer that was left")
					if p.Src != to {
						t.Errorf("%+v, want it from %v", p, to)
					}
					if err := lab.parker.Accept(p.ID); err != nil {
						t.Fatal(err)
					}
				}
				for _, c := range []*client{first, second} {
					if err := receive(t, c.result, "end of connect"); !errors.Is(err, unix.ECONNREFUSED) {
						t.Errorf("connect = %v", err)
					}
				}
			})
		}
	}
}

// TestKernelAdoptUnderLoad: SYNs keep coming while one process after the other is
// killed. Each connects, and comes once to each process.
func TestKernelAdoptUnderLoad(t *testing.T) {
	const rounds, each = 8, 100
	lab := newLab(t, Options{})
	k := kind{family: unix.AF_INET, nonBlocking: true}
	listener := lab.listen(t, "127.0.0.1:0")
	to := addrOf(listener)
	var clients []*client
	for range rounds {
		begun := make(chan []*client, 1) // the round's; the sender never waits
		go func() { begun <- lab.begin(k, to, each) }()
		data, kept := lab.crash(t)
		for len(lab.packets) > 0 {
			<-lab.packets // what the killed process knew is lost with it
		}
		lab.adopt(t, Options{}, data, kept)
		clients = append(clients, <-begun...)
		lab.seen(t, clients)
	}
	data, kept := lab.crash(t)
	lab.adopt(t, Options{}, data, kept)
	if err := lab.parker.Accept(slices.Collect(maps.Values(lab.seen(t, clients)))...); err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	}()
	for _, c := range clients {
		if err := c.await(); err != nil {
			t.Errorf("connect = %v", err)
		}
		if err := c.close(); err != nil {
			t.Error(err)
		}
	}
}

// TestKernelCloseKept: Close leaves nothing behind, though a keeper has the sockets
// still, and a connect then passes.
func TestKernelCloseKept(t *testing.T) {
	for _, adopted := range []bool{false, true} {
		t.Run(fmt.Sprintf("adopted %v", adopted), func(t *testing.T) {
			lab := newLab(t, Options{})
			listener := lab.listen(t, "127.0.0.1:0")
			waits := lab.dial(t, kind{family: unix.AF_INET}, addrOf(listener), MarkFor(0))
			lab.packet(t)
			_, fds := lab.parker.Descriptors()
			duplicates(t, fds...)
			if adopted {
				data, kept := lab.crash(t)
				lab.adopt(t, Options{}, data, kept)
				lab.packet(t)
			}
			number := lab.parker.queue.number
			if err := lab.parker.Close(); err != nil {
				t.Fatal(err)
			}
			if err := receive(t, waits.result, "end of connect"); err != nil {
				t.Errorf("the parked connect = %v", err)
			}
			if got := tables(t, lab.netNS); len(got) != 0 {
				t.Errorf("tables after Close = %q", got)
			}
			again := lab.open(t, Options{}, lab.packets)
			if again.queue.number != number {
				t.Errorf("the next Parker has queue %d, want %d, which is free", again.queue.number, number)
			}
		})
	}
}

// TestKernelAdoptNothing: what cannot go on says so and closes what it was given.
func TestKernelAdoptNothing(t *testing.T) {
	lab := newLab(t, Options{})
	data, fds := lab.parker.Descriptors()
	kept := duplicates(t, fds...)
	if err := lab.parker.Close(); err != nil {
		t.Fatal(err)
	}
	handle := Options{Handle: func(Packet) {}}
	for name, test := range map[string]struct {
		options Options
		data    string
		fds     []*linux.FD
	}{
		"its queue is not bound": {handle, string(data), kept},
		"a socket is missing":    {handle, string(data), duplicates(t, fds0(t))},
		"no socket of a queue":   {handle, string(data), duplicates(t, fds0(t), fds0(t))},
		"other data":             {handle, "{", duplicates(t, fds0(t), fds0(t))},
		"nobody to handle":       {Options{}, string(data), duplicates(t, fds0(t), fds0(t))},
	} {
		parker, err := Adopt(test.options, []byte(test.data), test.fds)
		if err == nil || parker != nil {
			t.Errorf("%s: adopted %v, %v", name, parker, err)
		}
		for _, fd := range test.fds {
			if fd.Int() >= 0 {
				t.Errorf("%s: descriptor %d is open", name, fd.Int())
			}
		}
	}
}

// fds0 is a descriptor of something else.
func fds0(t *testing.T) int {
	t.Helper()
	fd, err := unix.MemfdCreate("something else", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	return fd
}

// TestKernelAdoptKilled: the same with a process that is killed.
func TestKernelAdoptKilled(t *testing.T) {
	for _, mode := range []string{"owner", "no owner"} {
		t.Run(mode, func(t *testing.T) {
			options := Options{DisableOwner: mode == "no owner"}
			lab := &lab{netNS: newNetNS(t), packets: make(chan Packet, 16)}
			probe := newLab(t, options)
			testenv.Need(t, probe.parker.rules.owned == !options.DisableOwner, "table owners (Linux 5.12)")
			victim, data, kept := startKeptVictim(t, lab.netNS, mode)
			listener := lab.listen(t, "127.0.0.1:0")
			k := kind{family: unix.AF_INET}
			first := lab.dial(t, k, addrOf(listener), MarkFor(0))
			victim.says(t, "seen\n")
			kill(t, victim.Cmd)
			second := lab.dial(t, k, addrOf(listener), MarkFor(0))
			lab.adopt(t, options, data, kept)
			for range 2 {
				if err := lab.parker.Accept(lab.packet(t).ID); err != nil {
					t.Fatal(err)
				}
			}
			for _, c := range []*client{first, second} {
				if err := receive(t, c.result, "end of connect"); err != nil {
					t.Errorf("connect = %v", err)
				}
			}
		})
	}
}
