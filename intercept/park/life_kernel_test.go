package park

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"upall/internal/testenv"
)

// victimVariable has the test binary open a Parker and wait to be killed; its
// value is "owner" or "no owner".
const victimVariable = "UPALL_PARK_VICTIM"

func runVictim() int {
	_, err := Open(Options{Handle: func(Packet) {}, DisableOwner: os.Getenv(victimVariable) == "no owner"})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("open")
	select {}
}

// startVictim starts a process with a Parker in the namespace.
func startVictim(t *testing.T, ns *netNS, mode string) *exec.Cmd {
	t.Helper()
	victim := exec.CommandContext(t.Context(), "/proc/self/exe")
	victim.Env = append(os.Environ(), victimVariable+"="+mode)
	victim.Stderr = os.Stderr
	out, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	ns.do(t, victim.Start) // a child gets the namespace of the thread that forks
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("the victim said %q: %v", line, err)
	}
	return victim
}

func kill(t *testing.T, victim *exec.Cmd) {
	t.Helper()
	if err := victim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, isExit := errors.AsType[*exec.ExitError](victim.Wait()); !isExit {
		t.Fatal("the victim was not killed")
	}
}

// tables lists the namespace's tables, as "ip upall-47100 flags 2".
func tables(t testing.TB, ns *netNS) []string {
	t.Helper()
	nft, err := nftables.New(nftables.WithNetNSFd(ns.fd()))
	if err != nil {
		t.Fatal(err)
	}
	all, err := nft.ListTables()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, table := range all {
		// The library reads the big-endian flags in host order; the owner flag is the only one here.
		names = append(names, fmt.Sprintf("%s %s owner %v", familyName(table.Family), table.Name, table.Flags != 0))
	}
	slices.Sort(names)
	return names
}

func TestKernelTables(t *testing.T) {
	for _, disabled := range []bool{false, true} {
		t.Run(fmt.Sprintf("owner disabled %v", disabled), func(t *testing.T) {
			lab := newLab(t, Options{DisableOwner: disabled})
			name := tableName(lab.parker.queue.number)
			owner := fmt.Sprintf(" owner %v", lab.parker.rules.owned)
			if disabled && lab.parker.rules.owned {
				t.Error("the tables have an owner")
			}
			want := []string{"ip " + name + owner, "ip6 " + name + owner}
			if got := tables(t, lab.netNS); !slices.Equal(got, want) {
				t.Errorf("tables = %q, want %q", got, want)
			}
			if err := lab.parker.Close(); err != nil {
				t.Fatal(err)
			}
			if got := tables(t, lab.netNS); len(got) != 0 {
				t.Errorf("tables after Close = %q", got)
			}
			if err := lab.parker.Accept(1); !errors.Is(err, ErrClosed) {
				t.Errorf("Accept after Close = %v", err)
			}
		})
	}
}

// TestKernelKilled: the tables of a killed process vanish with it, or are
// removed by the next one.
func TestKernelKilled(t *testing.T) {
	for _, mode := range []string{"owner", "no owner"} {
		t.Run(mode, func(t *testing.T) {
			probe := newLab(t, Options{DisableOwner: mode == "no owner"})
			testenv.Need(t, probe.parker.rules.owned == (mode == "owner"), "table owners (Linux 5.12)")
			ns := newNetNS(t)
			victim := startVictim(t, ns, mode)
			if got := tables(t, ns); len(got) != 2 {
				t.Fatalf("tables of the victim = %q", got)
			}
			kill(t, victim)
			if mode == "owner" {
				testenv.Eventually(t, patience, func() error {
					if got := tables(t, ns); len(got) != 0 {
						return fmt.Errorf("tables = %q", got)
					}
					return nil
				})
				return
			}
			lab := &lab{netNS: ns, packets: make(chan Packet, 1)}
			if got := tables(t, ns); len(got) != 2 {
				t.Fatalf("tables after the kill = %q", got)
			}
			// Nobody reads the queue: a marked connect passes.
			client := lab.dial(t, kind{family: unix.AF_INET}, addrOf(lab.listen(t, "127.0.0.1:0")), MarkFor(0))
			if err := receive(t, client.result, "end of connect"); err != nil {
				t.Errorf("connect = %v", err)
			}
			lab.parker = lab.open(t, Options{}, lab.packets)
			if got := tables(t, ns); len(got) != 2 {
				t.Errorf("tables after the next Open = %q", got)
			}
		})
	}
}

// TestKernelClose: what waits at Close goes on.
func TestKernelClose(t *testing.T) {
	lab := newLab(t, Options{})
	listener := lab.listen(t, "127.0.0.1:0")
	client := lab.dial(t, kind{family: unix.AF_INET}, addrOf(listener), MarkFor(0))
	lab.packet(t)
	begin := time.Now()
	if err := lab.parker.Close(); err != nil {
		t.Fatal(err)
	}
	if err := receive(t, client.result, "end of connect"); err != nil {
		t.Errorf("connect = %v", err)
	}
	// The SYN's first retransmission comes after a second: this was not one.
	if took := time.Since(begin); took > 900*time.Millisecond {
		t.Errorf("the connect took %v after Close", took)
	}
}

// TestKernelHookGone: when a hook of the namespace goes away, a SYN comes again.
func TestKernelHookGone(t *testing.T) {
	lab := newLab(t, Options{})
	others := make(chan Packet, 8)
	other := lab.open(t, Options{}, others)
	listener := lab.listen(t, "127.0.0.1:0")
	client := lab.dial(t, kind{family: unix.AF_INET}, addrOf(listener), MarkFor(0))
	// The Parkers see it one after the other, in an order of the kernel's.
	accepted := map[*Parker]bool{}
	for range 2 {
		select {
		case p := <-lab.packets:
			accepted[lab.parker] = lab.parker.Accept(p.ID) == nil
		case p := <-others:
			accepted[other] = other.Accept(p.ID) == nil
		case <-time.After(patience):
			t.Fatal("no parked SYN")
		}
	}
	if err := receive(t, client.result, "end of connect"); err != nil || !accepted[lab.parker] || !accepted[other] {
		t.Fatalf("connect = %v, accepted by %v", err, accepted)
	}

	waits := lab.dial(t, kind{family: unix.AF_INET}, addrOf(listener), MarkFor(0))
	var first Packet
	select {
	case first = <-lab.packets:
	case p := <-others:
		if err := other.Accept(p.ID); err != nil {
			t.Fatal(err)
		}
		first = lab.packet(t)
	case <-time.After(patience):
		t.Fatal("no parked SYN")
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	again := lab.packet(t)
	if again.Src != first.Src || again.ID == first.ID {
		t.Errorf("first %+v, then %+v", first, again)
	}
	if err := lab.parker.Accept(first.ID, again.ID); err != nil {
		t.Fatal(err)
	}
	if err := receive(t, waits.result, "end of connect"); err != nil {
		t.Errorf("connect = %v", err)
	}
}

// TestKernelNotSupported: without the capability the error names it.
func TestKernelNotSupported(t *testing.T) {
	user := testenv.OrdinaryUser(t)
	command := user.Command(t, user.Install(t, "/proc/self/exe"))
	command.Env = append(command.Env, victimVariable+"=owner")
	out, err := command.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "parking needs CAP_NET_ADMIN in the network namespace") {
		t.Errorf("Open as %s: %v, %q", user.Name, err, out)
	}
}

// TestKernelUserNamespace parks without root, in a user and network namespace.
func TestKernelUserNamespace(t *testing.T) {
	const insideVariable = "UPALL_PARK_INSIDE"
	if os.Getenv(insideVariable) != "" {
		t.Skip("this is the inside")
	}
	user := testenv.OrdinaryUser(t)
	testenv.NeedUserNS(t, user)
	command := user.Command(t, "unshare", "--user", "--map-root-user", "--net", user.Install(t, "/proc/self/exe"),
		"-test.v", "-test.run", "^TestKernel(Park|Tables|ManyAtOnce|Close|ClientGone)$")
	command.Env = append(command.Env, insideVariable+"=1", testenv.RequireVariable+"=all")
	out, err := command.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestKernelPark ") {
		t.Errorf("as %s: %v\n%s", user.Name, err, out)
	}
}
