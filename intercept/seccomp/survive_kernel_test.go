package seccomp

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"upall/internal/linux"
)

const patience = 10 * time.Second

// sender hands over as the shim does, step by step, or as runc.
type sender struct {
	*net.UnixConn
	t *testing.T
}

func (s sender) asks() { s.writes("\n", nil) }

// hands sends the state, with a stand-in for the notifyFD.
func (s sender) hands() {
	state, err := MarshalState("web-1")
	if err != nil {
		s.t.Fatal(err)
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		s.t.Fatal(err)
	}
	s.writes(string(state), unix.UnixRights(int(null.Fd())))
	if err := null.Close(); err != nil {
		s.t.Fatal(err)
	}
}

func (s sender) writes(data string, oob []byte) {
	s.t.Helper()
	if _, _, err := s.WriteMsgUnix([]byte(data), oob, nil); err != nil {
		s.t.Fatal(err)
	}
}

func (s sender) hears(want byte) {
	s.t.Helper()
	answer := make([]byte, 1)
	if _, err := io.ReadFull(s, answer); err != nil || answer[0] != want {
		s.t.Fatalf("it said %q, %v, want %q", answer, err, want)
	}
}

// TestKernelAgentKilled kills an Agent at each step of a hand-over. The next one
// brings it to its end, and an attach that comes twice has the same number.
func TestKernelAgentKilled(t *testing.T) {
	for _, tt := range []struct {
		name, stage string
		before      func(*victim, sender)
		after       func(sender)
	}{
		{"accepted", "", func(*victim, sender) {}, func(s sender) {
			s.asks()
			s.hears(here)
			s.hands()
			s.hears(attached)
		}},
		{"asked", "", func(_ *victim, s sender) { s.asks(); s.hears(here) }, func(s sender) {
			s.hears(here)
			s.hands()
			s.hears(attached)
		}},
		{"begun", "", func(_ *victim, s sender) { s.asks(); s.hears(here); s.writes("{", nil) }, func(s sender) {
			s.writes(`"fds":[],"metadata":"web-1"}`, nil) // no descriptor: refused
			s.ends()
		}},
		{"given", "attach", func(v *victim, s sender) { s.asks(); s.hears(here); s.hands(); v.says(t, "attach") }, func(s sender) {
			s.hears(attached)
		}},
		{"given by runc", "attach", func(v *victim, s sender) { s.hands(); s.closes(); v.says(t, "attach") }, func(sender) {}},
		{"answered", "drop", func(v *victim, s sender) { s.asks(); s.hears(here); s.hands(); s.hears(attached); v.says(t, "drop") }, func(s sender) {
			s.ends()
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMemory(t)
			path := filepath.Join(t.TempDir(), "agent")
			v := startVictim(t, m, path, tt.stage)
			s := sender{dial(t, path), t}
			m.waitsFor(t, 1)
			tt.before(v, s)
			v.kill(t)
			late := sender{dial(t, path), t} // nobody is there
			late.asks()

			given, entries := make(chan State, 2), m.names() // the old one and the late one
			agent := m.adopt(t, func(state State, fd *NotifyFD) error {
				given <- state
				return fd.Close()
			})
			tt.after(s)
			late.hears(here)
			late.hands()
			late.hears(attached)
			m.waitsFor(t, 0)
			if err := agent.Close(); err != nil {
				t.Error(err)
			}
			close(given)
			count := 0
			for state := range given {
				if state.Metadata != "web-1" || state.HandOver == 0 {
					t.Errorf("given %+v", state)
				}
				if entries[handOverEntry(state.HandOver)] {
					count++
				}
			}
			if count > 1 || tt.stage != "" && count == 0 {
				t.Errorf("%d hand-overs have the number of the killed agent's", count)
			}
			if left := m.names(); len(left) > 0 {
				t.Errorf("after Close the keeper has %v", left)
			}
			if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the socket is still there: %v", err)
			}
		})
	}
}

func (s sender) closes() {
	if err := s.Close(); err != nil {
		s.t.Fatal(err)
	}
}

// ends reads to the end. What is answered a second time is not heard by anybody.
func (s sender) ends() {
	s.t.Helper()
	rest, err := io.ReadAll(s)
	if err != nil || strings.Trim(string(rest), string([]byte{here, attached})) != "" {
		s.t.Errorf("it said %q, %v, want the end", rest, err)
	}
}

// TestKernelCallsKilled: of 20 calls a process answers 4 and receives 8 more. It is
// killed, and the next one answers the other 16.
func TestKernelCallsKilled(t *testing.T) {
	const count, answered = 20, stayAfter / 3
	m := newMemory(t)
	path := filepath.Join(t.TempDir(), "agent")
	v := startVictim(t, m, path, "receive")
	cmd := caller(t, path, count)
	result := make(chan string, 1) // the one result
	go func() {
		out, err := cmd.Output()
		if err != nil {
			out = append(out, err.Error()...)
		}
		result <- string(out)
	}()
	v.says(t, "receive")
	v.kill(t)

	fds := m.give(t, "notify")
	if len(fds) != 2 {
		t.Fatalf("%d descriptors are kept", len(fds))
	}
	calls, err := AdoptCalls(fds[1])
	if err != nil {
		t.Fatal(err)
	}
	notifyFD := NewNotifyFD(fds[0])
	notifyFD.Record(calls)
	left := calls.Left()
	if len(left) != stayAfter-answered {
		t.Errorf("%d calls are left, want %d", len(left), stayAfter-answered)
	}
	for i, n := range left {
		if n.Nr != unix.SYS_LISTEN || i > 0 && n.ID <= left[i-1].ID || !notifyFD.IsValid(n.ID) {
			t.Errorf("call %d of those left is %+v", i, n)
		}
		if err := notifyFD.Return(n.ID, 0); err != nil {
			t.Error(err)
		}
	}
	var n Notification
	for i := 0; i < count-stayAfter; {
		err := notifyFD.Receive(&n)
		if errors.Is(err, ErrInterrupted) {
			continue
		}
		if err = errors.Join(err, notifyFD.Return(n.ID, 0)); err != nil {
			t.Fatal(err)
		}
		i++
	}
	if got := <-result; got != "20\n" {
		t.Errorf("of 20 calls succeeded %s", got)
	}
	if left := again(t, calls).Left(); len(left) != 0 {
		t.Errorf("all are answered, and left are %+v", left)
	}
	if err := notifyFD.Close(); err != nil {
		t.Error(err)
	}
}

// TestKernelAgentAdoptsNothing: what cannot be adopted is closed, with an error.
func TestKernelAgentAdoptsNothing(t *testing.T) {
	m := newMemory(t)
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "agent")
	agent, err := ListenAgent(AgentOptions{Path: path, Keep: m})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"file", "hand-over/x", "other", "hand-over/7"} {
		if err := m.Put(name, nil, int(file.Fd())); err != nil {
			t.Fatal(err)
		}
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	for _, names := range [][2]string{{"file", ""}, {AgentEntry, "hand-over/x"}, {AgentEntry, "other"}, {AgentEntry, "hand-over/7"}} {
		o := AgentOptions{Listener: m.give(t, names[0])[0]}
		if names[1] != "" {
			o.Conns = map[string]*linux.FD{names[1]: m.give(t, names[1])[0]}
		}
		if _, err := ListenAgent(o); err == nil {
			t.Errorf("adopted %v", names)
		}
	}
	if err := agent.Close(); err != nil {
		t.Error(err)
	}
}
