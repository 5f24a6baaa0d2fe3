package bench

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// patience bounds how long a broken program can hold a benchmark.
const patience = 60 * time.Second

// worker is a running testdata/worker.c.
type worker struct {
	b     *testing.B
	conn  net.Conn
	lines *bufio.Reader
}

// roster is where workers report.
type roster struct {
	path     string
	listener *net.UnixListener
}

func newRoster(b *testing.B) *roster {
	b.Helper()
	path := filepath.Join(b.TempDir(), "s")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = listener.Close() })
	return &roster{path, listener}
}

// collect waits until n workers have come and returns them by name.
func (r *roster) collect(b *testing.B, n int) map[string]*worker {
	b.Helper()
	workers := map[string]*worker{}
	for range n {
		if err := r.listener.SetDeadline(time.Now().Add(patience)); err != nil {
			b.Fatal(err)
		}
		conn, err := r.listener.Accept()
		if err != nil {
			b.Fatalf("wait for a worker: %v", err)
		}
		b.Cleanup(func() { _ = conn.Close() })
		w := &worker{b, conn, bufio.NewReader(conn)}
		workers[w.line()] = w
	}
	return workers
}

// plainWorkers starts workers that upall knows nothing of.
func plainWorkers(b *testing.B, names ...string) map[string]*worker {
	b.Helper()
	r := newRoster(b)
	for _, name := range names {
		cmd := exec.CommandContext(b.Context(), filepath.Join(tools, "worker"), r.path, name)
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = cmd.Wait() }) // it ends with b's context
	}
	return r.collect(b, len(names))
}

func (w *worker) line() string {
	w.b.Helper()
	if err := w.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		w.b.Fatal(err)
	}
	line, err := w.lines.ReadString('\n')
	if err != nil {
		w.b.Fatalf("read a worker's answer: %v", err)
	}
	return strings.TrimSpace(line)
}

// order sends a command.
func (w *worker) order(format string, args ...any) {
	w.b.Helper()
	if _, err := fmt.Fprintf(w.conn, format+"\n", args...); err != nil {
		w.b.Fatalf("order a worker: %v", err)
	}
}

// numbers reads the answer to a command.
func (w *worker) numbers() []int64 {
	w.b.Helper()
	var numbers []int64
	for field := range strings.FieldsSeq(w.line()) {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			w.b.Fatalf("a worker's answer: %v", err)
		}
		numbers = append(numbers, n)
	}
	return numbers
}

// ask sends a command and reads its answer.
func (w *worker) ask(format string, args ...any) []int64 {
	w.b.Helper()
	w.order(format, args...)
	return w.numbers()
}
