package seccomp

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// testAgent hands what comes over to the channel. It is closed with the test.
func testAgent(t *testing.T, path string) (*Agent, <-chan handedOver) {
	t.Helper()
	given := make(chan handedOver, 1) // tests hand over once
	agent, err := ListenAgent(AgentOptions{Path: path, Attach: func(s State, fd *NotifyFD) error {
		given <- handedOver{s, fd}
		return fd.Close()
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := agent.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Errorf("close the agent: %v", err)
		}
	})
	return agent, given
}

func dial(t *testing.T, path string) *net.UnixConn {
	t.Helper()
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// TestAgentHandOver speaks as the shim does, with a stand-in for the notifyFD.
func TestAgentHandOver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "agent")
	_, given := testAgent(t, path)
	conn := dial(t, path)
	answer := make([]byte, 1)

	if _, err := conn.Write([]byte("\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, answer); err != nil || answer[0] != here {
		t.Fatalf("asked whether it is here, it said %q, %v", answer, err)
	}
	state, err := MarshalState("web-1")
	if err != nil {
		t.Fatal(err)
	}
	stdin, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stdin.Close() }()
	if _, _, err := conn.WriteMsgUnix(state, unix.UnixRights(int(stdin.Fd())), nil); err != nil {
		t.Fatal(err)
	}
	if got := <-given; got.state.Metadata != "web-1" || got.state.Process() != os.Getpid() {
		t.Errorf("handed over %+v, want web-1 and this process, %d", got.state, os.Getpid())
	}
	if _, err := io.ReadFull(conn, answer); err != nil || answer[0] != attached {
		t.Errorf("handed over, it said %q, %v", answer, err)
	}
}

// TestStateProcess: an engine is believed which process a filter is of, and a process
// that may be of any container is not.
func TestStateProcess(t *testing.T) {
	const said, peer = 7, 8
	for _, tt := range []struct {
		metadata string
		said     int
		want     int
	}{
		{EngineMetadata(), said, said},
		{EngineMetadata(), 0, peer},
		{ShimMetadata(), said, peer},
		{ShimMetadata(), 0, peer},
	} {
		if got := (State{PID: tt.said, Peer: peer, Metadata: tt.metadata}).Process(); got != tt.want {
			t.Errorf("of %s, which says %d: %d, want %d", tt.metadata, tt.said, got, tt.want)
		}
	}
}

// TestAgentClose: a sender that says nothing keeps nobody from closing.
func TestAgentClose(t *testing.T) {
	path := filepath.Join(t.TempDir(), "agent")
	agent, _ := testAgent(t, path)
	silent, asking := dial(t, path), dial(t, path)
	if _, err := asking.Write([]byte("\n")); err != nil {
		t.Fatal(err)
	}
	if err := agent.Close(); err != nil {
		t.Fatal(err)
	}
	for _, conn := range []*net.UnixConn{silent, asking} {
		if _, err := io.Copy(io.Discard, conn); err != nil && !errors.Is(err, unix.ECONNRESET) {
			t.Errorf("the closed agent's connection: %v", err)
		}
	}
}

// TestAgentPath: only a socket that nobody listens on makes way.
func TestAgentPath(t *testing.T) {
	path := filepath.Join(t.TempDir(), "agent")
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false) // as when it is killed
	if err := left.Close(); err != nil {
		t.Fatal(err)
	}
	testAgent(t, path)
	_ = dial(t, path)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ path, want string }{{path, "another upall listens"}, {file, "is no socket"}} {
		_, err := ListenAgent(AgentOptions{Path: tt.path})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("listen on %s: %v, want %q", tt.path, err, tt.want)
		}
	}
}

// failing keeps nothing but what has its name.
type failing string

func (f failing) Put(name string, _ []byte, _ ...int) error {
	if name == string(f) {
		return nil
	}
	return errors.New("no keeper")
}

func (failing) Drop(string) error { return nil }

// TestAgentKeepFails: without its socket kept an Agent does not begin; a hand-over
// that cannot be kept is served all the same.
func TestAgentKeepFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "agent")
	if _, err := ListenAgent(AgentOptions{Path: path, Keep: failing("")}); err == nil {
		t.Error("it listens")
	}
	agent, err := ListenAgent(AgentOptions{Path: path, Keep: failing(AgentEntry), Attach: func(_ State, fd *NotifyFD) error { return fd.Close() }})
	if err != nil {
		t.Fatal(err)
	}
	s := sender{dial(t, path), t}
	s.asks()
	s.hears(here)
	s.hands()
	s.hears(attached)
	if err := agent.Close(); err != nil {
		t.Error(err)
	}
}
