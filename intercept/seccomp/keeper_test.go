package seccomp

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"upall/internal/linux"
	"upall/internal/testenv"
)

// memory is a keeper within the test.
type memory struct {
	mu      sync.Mutex // guards entries
	entries map[string][]*linux.FD
}

func newMemory(t testing.TB) *memory {
	m := &memory{entries: map[string][]*linux.FD{}}
	t.Cleanup(func() {
		for name := range m.names() {
			_ = m.Drop(name)
		}
	})
	return m
}

func (m *memory) Put(name string, _ []byte, fds ...int) error {
	var kept []*linux.FD
	for _, fd := range fds {
		n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return err
		}
		kept = append(kept, linux.NewFD(n))
	}
	m.replace(name, kept)
	return nil
}

func (m *memory) Drop(name string) error {
	m.replace(name, nil)
	return nil
}

func (m *memory) replace(name string, kept []*linux.FD) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, fd := range m.entries[name] {
		_ = fd.Close()
	}
	delete(m.entries, name)
	if kept != nil {
		m.entries[name] = kept
	}
}

func (m *memory) names() map[string]bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	names := map[string]bool{}
	for name := range m.entries {
		names[name] = true
	}
	return names
}

// give returns duplicates of what is kept under the name.
func (m *memory) give(t testing.TB, name string) []*linux.FD {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	var given []*linux.FD
	for _, fd := range m.entries[name] {
		n, err := unix.FcntlInt(uintptr(fd.Int()), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		given = append(given, linux.NewFD(n))
	}
	return given
}

// adopt goes on in this process as the next one after a killed Agent.
func (m *memory) adopt(t testing.TB, attach func(State, *NotifyFD) error) *Agent {
	t.Helper()
	conns := map[string]*linux.FD{}
	for name := range m.names() {
		if strings.HasPrefix(name, HandOverEntry) {
			conns[name] = m.give(t, name)[0]
		}
	}
	agent, err := ListenAgent(AgentOptions{Attach: attach, Keep: m, Listener: m.give(t, AgentEntry)[0], Conns: conns})
	if err != nil {
		t.Fatal(err)
	}
	return agent
}

// Of a process with an Agent: keeperFD is a socket to its keeper, and the variables
// are where it listens and at what it stays for ever: never; "attach", a hand-over
// that it was given; "drop", one that it has answered; or "receive", the twelfth call.
const (
	keeperFD      = 3
	pathVariable  = "UPALL_SECCOMP_PATH"
	stageVariable = "UPALL_SECCOMP_STAGE"
	stayAfter     = 12
)

// remote is a keeper that is another process: each message is an entry.
type remote struct{ stage string }

func (r remote) Put(name string, _ []byte, fds ...int) error {
	return unix.Sendmsg(keeperFD, []byte("P"+name), unix.UnixRights(fds...), nil, 0)
}

func (r remote) Drop(name string) error {
	if r.stage == "drop" {
		fmt.Println("drop")
		select {}
	}
	return unix.Sendmsg(keeperFD, []byte("D"+name), nil, nil, 0)
}

func runAgent() error {
	keep := remote{os.Getenv(stageVariable)}
	attach := func(_ State, fd *NotifyFD) error {
		if keep.stage == "attach" {
			fmt.Println("attach")
			select {}
		}
		if keep.stage != "receive" {
			return fd.Close()
		}
		calls, err := NewCalls()
		if err != nil {
			return err
		}
		fd.Record(calls)
		if err := keep.Put("notify", nil, fd.FD(), calls.FD()); err != nil {
			return err
		}
		go receiveSome(fd)
		return nil
	}
	if _, err := ListenAgent(AgentOptions{Path: os.Getenv(pathVariable), Attach: attach, Keep: keep}); err != nil {
		return err
	}
	fmt.Println("listens")
	select {}
}

// receiveSome answers each third call and keeps the others waiting.
func receiveSome(fd *NotifyFD) {
	var n Notification
	for received := 0; received < stayAfter; {
		if err := fd.Receive(&n); err != nil {
			continue // interrupted
		}
		if received++; received%3 == 0 {
			_ = fd.Return(n.ID, 0)
		}
	}
	fmt.Println("receive")
	select {}
}

// victim is a process with an Agent, to be killed.
type victim struct {
	*exec.Cmd
	out  *bufio.Reader
	kept chan error // the end of the keeper, once
}

// startVictim starts an Agent whose entries go to m.
func startVictim(t *testing.T, m *memory, path, stage string) *victim {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	theirs, ours := os.NewFile(uintptr(pair[0]), "theirs"), linux.NewFD(pair[1])
	v := &victim{Cmd: exec.CommandContext(t.Context(), "/proc/self/exe"), kept: make(chan error, 1)}
	v.Env = append(os.Environ(), roleVariable+"=agent", pathVariable+"="+path, stageVariable+"="+stage)
	v.Stderr, v.ExtraFiles = os.Stderr, []*os.File{theirs}
	out, err := v.StdoutPipe()
	if err == nil {
		err = v.Start()
	}
	if err := errors.Join(err, theirs.Close()); err != nil {
		t.Fatal(err)
	}
	v.out = bufio.NewReader(out)
	go func() { v.kept <- errors.Join(m.serve(ours), ours.Close()) }()
	v.says(t, "listens")
	return v
}

// serve keeps what comes until the other end is closed.
func (m *memory) serve(from *linux.FD) error {
	name, oob := make([]byte, 256), make([]byte, unix.CmsgSpace(4*4))
	for {
		n, oobn, _, _, err := unix.Recvmsg(from.Int(), name, oob, unix.MSG_CMSG_CLOEXEC)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n == 0 {
			return err
		}
		var fds []*linux.FD
		if err := parseRights(oob[:oobn], &fds); err != nil {
			return err
		}
		if bytes.HasPrefix(name, []byte("P")) == (len(fds) == 0) {
			return fmt.Errorf("%q with %d descriptors", name[:n], len(fds))
		}
		m.replace(string(name[1:n]), fds)
	}
}

func (v *victim) says(t *testing.T, want string) {
	t.Helper()
	if line, err := v.out.ReadString('\n'); err != nil || line != want+"\n" {
		t.Fatalf("the agent said %q, %v, want %q", line, err, want)
	}
}

// kill returns when the keeper has all that the agent has put.
func (v *victim) kill(t *testing.T) {
	t.Helper()
	if err := v.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, isExit := errors.AsType[*exec.ExitError](v.Wait()); !isExit {
		t.Fatal("the agent was not killed")
	}
	if err := <-v.kept; err != nil {
		t.Fatal(err)
	}
}

// waitsFor waits until the keeper has as many hand-overs.
func (m *memory) waitsFor(t *testing.T, handOvers int) {
	t.Helper()
	testenv.Eventually(t, patience, func() error {
		n := 0
		for name := range m.names() {
			if strings.HasPrefix(name, HandOverEntry) {
				n++
			}
		}
		if n != handOvers {
			return fmt.Errorf("%d hand-overs are kept, want %d", n, handOvers)
		}
		return nil
	})
}
