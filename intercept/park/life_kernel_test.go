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

	"upall/internal/linux"
	"upall/internal/testenv"
)

// victimVariable has the test binary open a Parker and wait to be killed; its
// value is "owner" or "no owner".
const victimVariable = "UPALL_PARK_VICTIM"

// keeperFD is where a victim hands its Parker on, a unix socket, if it is open.
const keeperFD = 3

func runVictim() int {
	seen := func(Packet) { fmt.Println("seen") }
	parker, err := Open(Options{Handle: seen, DisableOwner: os.Getenv(victimVariable) == "no owner"})
	if err == nil {
		data, fds := parker.Descriptors()
		err = unix.Sendmsg(keeperFD, data, unix.UnixRights(fds...), nil, 0)
	}
	if err != nil && !errors.Is(err, unix.EBADF) && !errors.Is(err, unix.ENOTSOCK) {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("open")
	select {}
}

// victim is a process with a Parker.
type victim struct {
	*exec.Cmd
	out *bufio.Reader
}

// startVictim starts a process with a Parker in the namespace.
func startVictim(t *testing.T, ns *netNS, mode string, files ...*os.File) *victim {
	t.Helper()
	v := &victim{Cmd: exec.CommandContext(t.Context(), "/proc/self/exe")}
	v.Env = append(os.Environ(), victimVariable+"="+mode)
	v.Stderr, v.ExtraFiles = os.Stderr, files
	out, err := v.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	v.out = bufio.NewReader(out)
	ns.do(t, v.Start) // a child gets the namespace of the thread that forks
	v.says(t, "open\n")
	return v
}

func (v *victim) says(t *testing.T, want string) {
	t.Helper()
	if line, err := v.out.ReadString('\n'); err != nil || line != want {
		t.Fatalf("the victim said %q, %v, want %q", line, err, want)
	}
}

// startKeptVictim is startVictim with a keeper, who has what the victim's Parker
// hands on.
func startKeptVictim(t *testing.T, ns *netNS, mode string) (v *victim, data []byte, kept []*linux.FD) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	theirs, ours := os.NewFile(uintptr(pair[0]), "theirs"), os.NewFile(uintptr(pair[1]), "ours")
	defer func() { _ = errors.Join(theirs.Close(), ours.Close()) }()
	v = startVictim(t, ns, mode, theirs)
	data, oob := make([]byte, 4096), make([]byte, unix.CmsgSpace(4*handedOnSockets))
	n, oobn, _, _, err := unix.Recvmsg(pair[1], data, oob, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(messages) != 1 {
		t.Fatalf("%d control messages, %v", len(messages), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		kept = append(kept, closedWith(t, linux.NewFD(fd)))
	}
	return v, data[:n], kept
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
			kill(t, victim.Cmd)
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
		"-test.v", "-test.run", "^TestKernel(Park|Tables|ManyAtOnce|Close|ClientGone|Adopt|AdoptRefusals|AdoptUnderLoad)$")
	command.Env = append(command.Env, insideVariable+"=1", testenv.RequireVariable+"=all")
	out, err := command.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestKernelPark ") {
		t.Errorf("as %s: %v\n%s", user.Name, err, out)
	}
}
