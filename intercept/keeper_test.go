package intercept

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"upall/internal/event"
	"upall/internal/linux"
	"upall/internal/testenv"
)

// lives are an interceptor in a process that is killed and started again, and its
// keeper.
type lives struct {
	t       *testing.T
	dir     string
	options lifeOptions
	added   []order

	holdTimeout time.Duration // of the instances, if not a minute
	over        chan struct{} // closed when the last life is over

	mu      sync.Mutex
	entries []Kept // in the order of their first put
	events  []event.Event
	lines   []string // that it has logged
	lastID  int
	pending map[int]order
	answers map[int]chan order // capacity 1
	life    int
	closing bool
	between func() // before the next life, once
	cmd     *exec.Cmd
	conn    lifeConn
	born    chan struct{} // closed when the next life has resumed
}

func newLives(t *testing.T, w way) *lives {
	t.Helper()
	testenv.Need(t, linux.HasUserNotification() == nil, "seccomp user notification")
	upLoopback(t)
	if w.Way == event.Parked {
		err := CannotPark(w.disabled)
		testenv.Need(t, err == nil, fmt.Sprintf("parking (%v)", err))
	}
	dir := t.TempDir()
	l := &lives{
		t: t, dir: dir, over: make(chan struct{}), pending: map[int]order{}, answers: map[int]chan order{},
		options: lifeOptions{Socket: filepath.Join(dir, "socket"), Ledger: filepath.Join(dir, "ledger"), Disabled: w.disabled},
		born:    make(chan struct{}),
	}
	if err := os.Mkdir(l.options.Ledger, 0o700); err != nil {
		t.Fatal(err)
	}
	go l.live()
	t.Cleanup(l.close)
	<-l.next()
	return l
}

// next is closed when the life that comes, or the first, has resumed.
func (l *lives) next() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.born
}

func (l *lives) close() {
	l.mu.Lock()
	l.closing = true
	_ = unix.Shutdown(l.conn.fd, unix.SHUT_WR)
	l.mu.Unlock()
	<-l.over
	for _, e := range l.entries {
		l.t.Errorf("%s is kept at the end", e.Name)
		_ = closeAll(e.FDs)
	}
	for _, line := range l.lines {
		l.t.Errorf("logged: %s", line)
	}
}

// kill kills the interceptor, and returns how long it took the next one to go on.
func (l *lives) kill() time.Duration {
	l.mu.Lock()
	l.born = make(chan struct{})
	born, cmd := l.born, l.cmd
	l.mu.Unlock()
	at := time.Now()
	if err := cmd.Process.Kill(); err != nil {
		l.t.Errorf("kill the interceptor: %v", err)
	}
	select {
	case <-born:
	case <-time.After(patience):
		l.t.Error("the interceptor does not come back")
	}
	return time.Since(at)
}

// killAgain kills a life that may not have resumed.
func (l *lives) killAgain() {
	l.mu.Lock()
	life, cmd := l.life, l.cmd
	l.mu.Unlock()
	if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		l.t.Errorf("kill the interceptor: %v", err)
	}
	testenv.Eventually(l.t, patience, func() error {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.life == life {
			return errors.New("there is no next life")
		}
		return nil
	})
}

// live starts one life after the other.
func (l *lives) live() {
	defer close(l.over)
	for {
		if err := l.start(); err != nil {
			l.t.Errorf("start the interceptor: %v", err)
			return
		}
		l.serve()
		err := l.cmd.Wait()
		l.mu.Lock()
		_ = unix.Close(l.conn.fd)
		closing, between := l.closing, l.between
		l.between = nil
		l.mu.Unlock()
		if closing {
			if err != nil {
				l.t.Errorf("the last life: %v", err)
			}
			return
		}
		if between != nil {
			between()
		}
		if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.Exited() {
			l.t.Errorf("a life ended by itself: %v", err)
			return
		}
	}
}

func (l *lives) start() error {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	theirs := os.NewFile(uintptr(pair[1]), "life")
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), lifeVariable+"=interceptor")
	cmd.Stderr, cmd.ExtraFiles = os.Stderr, []*os.File{theirs}
	err = errors.Join(cmd.Start(), theirs.Close())
	if err != nil {
		return errors.Join(err, unix.Close(pair[0]))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cmd, l.conn = cmd, lifeConn{pair[0]}
	l.life++
	for _, e := range l.entries {
		var fds []int
		for _, fd := range e.FDs {
			fds = append(fds, fd.Int())
		}
		if err := l.conn.send(keptEntry, append(append([]byte(e.Name), 0), e.Data...), fds...); err != nil {
			return err
		}
	}
	l.conn.sendJSON(begin, l.options)
	again := append(slices.Clone(l.added), order{Do: "resume"})
	for _, id := range slices.Sorted(maps.Keys(l.pending)) {
		again = append(again, l.pending[id])
	}
	for _, o := range again {
		l.conn.sendJSON(ordered, o)
	}
	return nil
}

// serve reads what a life says until it is over.
func (l *lives) serve() {
	for {
		kind, data, fds, err := l.conn.receive()
		if errors.Is(err, unix.ECONNRESET) {
			continue // it had not read all, which is said before what it has written
		}
		if err != nil {
			return
		}
		l.take(kind, data, fds)
	}
}

func (l *lives) take(kind byte, data []byte, fds []*linux.FD) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch kind {
	case putEntry:
		name, rest, _ := bytes.Cut(data, []byte{0})
		l.replace(string(name), &Kept{string(name), bytes.Clone(rest), fds})
	case dropEntry:
		l.replace(string(data), nil)
	case told:
		var e event.Event
		if err := json.Unmarshal(data, &e); err != nil {
			l.t.Errorf("an event: %v", err)
		}
		l.events = append(l.events, e)
	case logged:
		l.lines = append(l.lines, strings.TrimSpace(string(data)))
	case answered:
		var o order
		if err := json.Unmarshal(data, &o); err != nil {
			l.t.Errorf("an answer: %v", err)
		}
		if o.Do == "resume" {
			select {
			case <-l.born:
			default:
				close(l.born)
			}
		}
		if c := l.answers[o.ID]; c != nil {
			delete(l.answers, o.ID)
			delete(l.pending, o.ID)
			c <- o
		}
	}
}

func (l *lives) replace(name string, by *Kept) {
	n := slices.IndexFunc(l.entries, func(e Kept) bool { return e.Name == name })
	switch {
	case n >= 0:
		_ = closeAll(l.entries[n].FDs)
		if by == nil {
			l.entries = slices.Delete(l.entries, n, n+1)
		} else {
			l.entries[n] = *by
		}
	case by != nil:
		l.entries = append(l.entries, *by)
	}
}

// tell has the interceptor do something, in its next life if this one is over.
func (l *lives) tell(o order) order {
	l.t.Helper()
	l.mu.Lock()
	l.lastID++
	o.ID = l.lastID
	c := make(chan order, 1)
	l.pending[o.ID], l.answers[o.ID] = o, c
	l.conn.sendJSON(ordered, o)
	l.mu.Unlock()
	select {
	case o = <-c:
	case <-time.After(patience):
		l.t.Fatalf("the interceptor does not %s", o.Do)
	}
	return o
}
