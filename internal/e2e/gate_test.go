package e2e

import (
	"bytes"
	"os"
	"path/filepath"
	"syscall"
)

// gate is a named pipe from which a service reads one byte before it goes on.
type gate struct {
	p    *project
	path string
	pipe *os.File
}

// gate makes a gate in the project's folder, which is closed. Any number of
// services may wait at it.
func (p *project) gate(name string) *gate {
	p.t.Helper()
	path := filepath.Join(p.folder, name)
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		p.t.Fatalf("make the gate: %v", err)
	}
	p.handOver(path)
	// A service may have changed its user; the mode is not the umask's affair.
	if err := os.Chmod(path, 0o666); err != nil {
		p.t.Fatal(err)
	}
	// Open for both, so that no open waits for the other side and what is
	// written stays in the pipe.
	pipe, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		p.t.Fatalf("open the gate: %v", err)
	}
	p.t.Cleanup(func() {
		if err := pipe.Close(); err != nil {
			p.t.Errorf("close the gate: %v", err)
		}
	})
	return &gate{p: p, path: path, pipe: pipe}
}

// maxWaiting is how many services may wait at one gate.
const maxWaiting = 64

// open lets all services pass that wait or will.
func (g *gate) open() {
	g.p.t.Helper()
	if _, err := g.pipe.Write(bytes.Repeat([]byte("\n"), maxWaiting)); err != nil {
		g.p.t.Fatalf("open the gate %s: %v", g.path, err)
	}
}
