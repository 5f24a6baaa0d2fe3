package engine

import (
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"upall/internal/testenv"
)

// line is a connection to an engine that can be cut.
type line struct {
	*testing.T
	path, engine string
	listener     net.Listener
	work         sync.WaitGroup

	mu    sync.Mutex // guards what follows
	isCut bool
	conns []net.Conn
}

// newLine returns a line to an engine's socket.
func newLine(t *testing.T, engine string) *line {
	t.Helper()
	l := &line{T: t, path: filepath.Join(t.TempDir(), "engine"), engine: strings.TrimPrefix(engine, "unix://")}
	l.restore()
	t.Cleanup(l.cut)
	return l
}

func (l *line) restore() {
	l.Helper()
	var err error
	if l.listener, err = net.Listen("unix", l.path); err != nil {
		l.Fatal(err)
	}
	l.mu.Lock()
	l.isCut = false
	l.mu.Unlock()
	l.work.Go(func() { l.serve(l.listener) })
}

func (l *line) serve(listener net.Listener) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		engine, err := net.Dial("unix", l.engine)
		if err != nil {
			l.Error(err)
			_ = client.Close()
			return
		}
		if !l.keep(client, engine) {
			return
		}
		for _, pair := range [][2]net.Conn{{client, engine}, {engine, client}} {
			l.work.Go(func() {
				_, _ = io.Copy(pair[0], pair[1])
				_ = pair[0].Close()
			})
		}
	}
}

// keep returns false for connections that came while the line was cut.
func (l *line) keep(conns ...net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.isCut {
		l.conns = append(l.conns, conns...)
		return true
	}
	for _, c := range conns {
		_ = c.Close()
	}
	return false
}

// cut ends all connections, and lets nobody connect.
func (l *line) cut() {
	_ = l.listener.Close()
	l.mu.Lock()
	l.isCut = true
	for _, c := range l.conns {
		_ = c.Close()
	}
	l.conns = nil
	l.mu.Unlock()
	l.work.Wait()
}

const lostFile = `
services:
  ends:
    image: upall-test/busybox:1
    stop_signal: KILL
    command: [sh, -c, 'echo up; sleep 1000']
  stays:
    image: upall-test/busybox:1
    stop_signal: KILL
    command: [sh, -c, 'while true; do echo here; sleep 0.02; done']
`

// TestLost: what happens while the engine cannot be reached is told afterwards.
func TestLost(t *testing.T) {
	for _, engine := range testenv.NeedEngines(t) {
		t.Run(engineName(engine.Host), func(t *testing.T) {
			testenv.NeedImages(t, engine, "busybox")
			direct := openEngine(t, engine.Host)
			_, c := create(t, direct, "lost", lostFile)
			between := newLine(t, engine.Host)
			c.Engine = openEngine(t, "unix://"+between.path)
			r := run(t, c)
			told := make(chan any, 100) // more than comes
			var watching sync.WaitGroup
			ctx, cancel := context.WithCancel(t.Context())
			watching.Go(func() { r.Watch(ctx, time.Now(), func(what any) { told <- what }) })
			defer watching.Wait()
			defer cancel()
			r.start("ends-1", "stays-1")
			next[Began](t, told)
			next[Began](t, told)
			r.writes("ends-1", "stdout: up")

			between.cut()
			if lost := next[Lost](t, told); !strings.Contains(lost.Err.Error(), "Docker Engine") {
				t.Errorf("told of %v", lost.Err)
			}
			c.Engine = direct
			if err := run(t, c).Kill(t.Context(), "ends-1"); err != nil {
				t.Fatal(err)
			}
			testenv.Eventually(t, watchLimit, func() error {
				if len(told) > 0 {
					t.Fatalf("told of %+v", <-told)
				}
				if d, err := direct.details(t.Context(), r.present.Load().refs["ends-1"].id); err != nil || d.IsRunning() {
					return fmt.Errorf("it is %s (%w)", d.State, err)
				}
				return nil
			})
			written := len(r.texts("stays-1"))
			between.restore()
			next[Back](t, told)
			if ended := next[Ended](t, told); ended.Instance != "ends-1" || ended.Code != 137 || ended.Then != MayReturn {
				t.Errorf("told of %+v", ended)
			}
			testenv.Eventually(t, watchLimit, func() error {
				if now := len(r.texts("stays-1")); now <= written {
					return fmt.Errorf("%d lines, as when the engine was lost", now)
				}
				return nil
			})
		})
	}
}

// next waits for what is told next.
func next[T any](t *testing.T, told <-chan any) T {
	t.Helper()
	select {
	case what := <-told:
		is, ok := what.(T)
		if !ok {
			t.Fatalf("told of %T %+v, want %T", what, what, is)
		}
		return is
	case <-time.After(watchLimit):
		t.Fatal("nothing is told")
		panic("unreachable")
	}
}
