package seccomp

import (
	"errors"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"upall/internal/linux"
)

func newCalls(t testing.TB) *Calls {
	t.Helper()
	c, err := NewCalls()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// again adopts the memory, as the process after a killed one.
func again(t testing.TB, c *Calls) *Calls {
	t.Helper()
	n, err := unix.FcntlInt(uintptr(c.FD()), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	next, err := AdoptCalls(linux.NewFD(n))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = next.Close() })
	return next
}

// receive does what Receive and the kernel do.
func (c *Calls) receive(t testing.TB, id uint64) bool {
	t.Helper()
	at := c.next()
	if at == nil {
		return false
	}
	if *at != (Notification{}) {
		t.Fatalf("call %d is received into %+v, which the kernel refuses", id, *at)
	}
	*at = Notification{ID: id, PID: uint32(id) + 1, Args: [6]uint64{5: id}}
	c.received(id)
	return true
}

// TestCalls: at every moment the memory holds what was received and not answered,
// whatever the order, over several processes.
func TestCalls(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	calls, waiting, id := newCalls(t), map[uint64]bool{}, uint64(1000)
	for step := range 20_000 {
		switch random.IntN(8) {
		case 0, 1, 2:
			id++
			if !calls.receive(t, id) {
				t.Fatal("no room")
			}
			waiting[id] = true
		case 3:
			if at := calls.next(); at == nil { // a Receive that was interrupted
				t.Fatal("no room")
			}
		case 4:
			calls.answered(id + 7) // received without Calls
		default:
			for any := range waiting {
				calls.answered(any)
				delete(waiting, any)
				break
			}
		}
		if step%500 != 0 {
			continue
		}
		calls = again(t, calls)
		var left []uint64
		for _, n := range calls.Left() {
			if n.PID != uint32(n.ID)+1 || n.Args[5] != n.ID {
				t.Errorf("%+v was received otherwise", n)
			}
			left = append(left, n.ID)
		}
		if want := slices.Sorted(maps.Keys(waiting)); !slices.Equal(left, want) {
			t.Fatalf("step %d: left are %v, want %v", step, left, want)
		}
	}
}

// TestCallsFull: what is too much is received without, and later not any more.
func TestCallsFull(t *testing.T) {
	calls := newCalls(t)
	for id := range uint64(maxCalls) {
		if !calls.receive(t, id+1) {
			t.Fatalf("no room for call %d", id+1)
		}
	}
	if calls.receive(t, maxCalls+1) {
		t.Error("there is room for one too many")
	}
	calls.answered(3)
	if !calls.receive(t, maxCalls+2) {
		t.Error("an answered call leaves no room")
	}
	if left := again(t, calls).Left(); len(left) != maxCalls || left[2].ID != 4 {
		t.Errorf("%d are left, the third is %d", len(left), left[2].ID)
	}
}

// TestCallsMemory: a NotifyFD that is answered at once takes a page.
func TestCallsMemory(t *testing.T) {
	calls := newCalls(t)
	for id := range uint64(1000) {
		calls.receive(t, id+1)
		calls.answered(id + 1)
	}
	again(t, calls)
	var st unix.Stat_t
	if err := unix.Fstat(calls.FD(), &st); err != nil {
		t.Fatal(err)
	}
	if page := int64(unix.Getpagesize()); st.Blocks*512 > page {
		t.Errorf("it takes %d bytes, want %d", st.Blocks*512, page)
	}
}

// TestCallsClosed: what is answered late does no harm, and what is not of calls is
// not adopted.
func TestCallsClosed(t *testing.T) {
	calls := newCalls(t)
	calls.receive(t, 1)
	if err := errors.Join(calls.Close(), calls.Close()); err != nil {
		t.Error(err)
	}
	calls.answered(1)
	if calls.next() != nil {
		t.Error("closed calls have memory")
	}
	for _, size := range []int64{0, callsSize} {
		n, err := unix.MemfdCreate("other", unix.MFD_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		fd := linux.NewFD(n)
		if err := unix.Ftruncate(n, size); err != nil {
			t.Fatal(err)
		}
		if _, err := AdoptCalls(fd); err == nil || fd.Int() >= 0 {
			t.Errorf("adopted %d bytes of something: %v, %d", size, err, fd.Int())
		}
	}
}

// BenchmarkCalls is what the memory costs a call that is answered before the next.
func BenchmarkCalls(b *testing.B) {
	calls := newCalls(b)
	var n Notification
	b.ReportAllocs()
	for id := uint64(1); b.Loop(); id++ {
		at := calls.next()
		at.ID = id
		n = *at
		calls.received(n.ID)
		calls.answered(n.ID)
	}
}

// BenchmarkReceive is a real call, received and answered.
func BenchmarkReceive(b *testing.B) {
	for _, recorded := range []bool{false, true} {
		name := map[bool]string{false: "plain", true: "recorded"}[recorded]
		b.Run(name, func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "agent")
			given := make(chan *NotifyFD, 1) // one caller
			agent, err := ListenAgent(AgentOptions{Path: path, Attach: func(_ State, fd *NotifyFD) error {
				given <- fd
				return nil
			}})
			if err != nil {
				b.Fatal(err)
			}
			cmd := caller(b, path, 0)
			if err := cmd.Start(); err != nil {
				b.Fatal(err)
			}
			fd := <-given
			if recorded {
				fd.Record(newCalls(b))
			}
			var n Notification
			b.ReportAllocs()
			for b.Loop() {
				if fd.Receive(&n) != nil {
					continue // interrupted
				}
				if err := fd.Continue(n.ID); err != nil {
					b.Fatal(err)
				}
			}
			if err := errors.Join(cmd.Process.Kill(), fd.Close(), agent.Close()); err != nil {
				b.Error(err)
			}
			_ = cmd.Wait() // it was killed
		})
	}
}
