package process

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"upall/internal/linux"
)

// countingKeep counts what is in it.
type countingKeep map[string]int

func (k countingKeep) Put(name string, _ []byte, fds ...int) error {
	k[name] = len(fds)
	return nil
}

func (k countingKeep) Drop(name string) error {
	delete(k, name)
	return nil
}

// TestAdoptNeverBegan: the crash came before there was a guard.
func TestAdoptNeverBegan(t *testing.T) {
	ours, theirs, err := openEnds()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range theirs {
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	keep := countingKeep{"program/web-1": 4}
	r := &Runtime{shelf: newShelf(keep, slog.Default())}
	p, began, err := r.Adopt(Kept{Name: "program/web-1", Data: []byte(`{"instance": "web-1"}`), FDs: ours}, nil)
	if p != nil || began || err != nil || len(keep) > 0 {
		t.Errorf("program %v, began %t, error %v, kept %v", p, began, err, keep)
	}
}

func TestAdoptOther(t *testing.T) {
	r := &Runtime{shelf: newShelf(countingKeep{}, slog.Default())}
	memory := func() *linux.FD {
		fd, err := unix.MemfdCreate("test", unix.MFD_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		return linux.NewFD(fd)
	}
	for name, k := range map[string]Kept{
		"not JSON":            {Data: []byte("{"), FDs: []*linux.FD{memory(), memory(), memory(), memory()}},
		"too few descriptors": {Data: []byte("{}"), FDs: []*linux.FD{memory()}},
		"no memory of ours":   {Data: []byte("{}"), FDs: []*linux.FD{memory(), memory(), memory(), memory()}},
	} {
		if _, _, err := r.Adopt(k, nil); err == nil {
			t.Errorf("%s: no error", name)
		}
		for _, fd := range k.FDs {
			if fd.Int() >= 0 {
				t.Errorf("%s: descriptor %d is still open", name, fd.Int())
			}
		}
		if _, err := AdoptState(nil, Kept{Data: k.Data}); err == nil {
			t.Errorf("%s: no error for a state", name)
		}
	}
}

// TestKeptRuns: a run that is closed late does not take the next one out.
func TestKeptRuns(t *testing.T) {
	keep := countingKeep{}
	shelf := newShelf(keep, slog.Default())
	begin := func(run int) *Program {
		p, err := launch{
			command: []string{"true"}, env: os.Environ(), dir: "/", output: func(_, _ string) {},
			id: Identity{Instance: "web-1", Run: run}, shelf: shelf,
		}.start()
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	first := begin(1)
	if first.Wait() != 0 || keep["program/web-1"] != keptCount {
		t.Errorf("of the first run is kept: %v", keep)
	}
	second := begin(2)
	if err := first.Close(); err != nil || keep["program/web-1"] != keptCount {
		t.Errorf("of the second run is kept: %v (%v)", keep, err)
	}
	second.Wait()
	if err := second.Close(); err != nil || len(keep) > 0 {
		t.Errorf("after the end is kept: %v (%v)", keep, err)
	}
}

// TestNotStarted: what could not be executed leaves nothing in the keeper.
func TestNotStarted(t *testing.T) {
	keep := countingKeep{}
	_, err := launch{
		command: []string{"true"}, dir: "/nonexistent", id: Identity{Instance: "web-1"}, shelf: newShelf(keep, slog.Default()),
	}.start()
	if !errors.Is(err, os.ErrNotExist) || len(keep) > 0 {
		t.Errorf("error %v, kept %v", err, keep)
	}
}

// brokenKeep is a keeper that has died.
type brokenKeep struct{}

func (brokenKeep) Put(string, []byte, ...int) error { return unix.EPIPE }

func (brokenKeep) Drop(string) error { return unix.EPIPE }

// TestKeeperDied: programs start without a keeper.
func TestKeeperDied(t *testing.T) {
	var said bytes.Buffer
	p, err := launch{
		command: []string{"true"}, env: os.Environ(), dir: "/", output: func(_, _ string) {},
		id: Identity{Instance: "web-1"}, shelf: newShelf(brokenKeep{}, slog.New(slog.NewTextHandler(&said, nil))),
	}.start()
	if err != nil {
		t.Fatal(err)
	}
	if code := p.Wait(); code != 0 || !strings.Contains(said.String(), "broken pipe") {
		t.Errorf("exit code %d, logged %q", code, said.String())
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

// BenchmarkAdopt is what one program costs after a crash.
func BenchmarkAdopt(b *testing.B) {
	ours, theirs, err := openEnds()
	if err != nil {
		b.Fatal(err)
	}
	if _, err := theirs[0].Write([]byte{1, 0, 0, 0}); err != nil { // as the guard does
		b.Fatal(err)
	}
	r := &Runtime{shelf: newShelf(nil, slog.Default())}
	for b.Loop() {
		k := Kept{Data: []byte(`{"instance": "web-1"}`)}
		for _, fd := range ours {
			dup, err := unix.FcntlInt(uintptr(fd.Int()), unix.F_DUPFD_CLOEXEC, 0)
			if err != nil {
				b.Fatal(err)
			}
			k.FDs = append(k.FDs, linux.NewFD(dup))
		}
		p, began, err := r.Adopt(k, func(_, _ string) {})
		if err != nil || !began {
			b.Fatal(began, err)
		}
		if err := errors.Join(p.stdout.Close(), p.stderr.Close()); err != nil {
			b.Fatal(err)
		}
		p.logs.Wait()
		if err := errors.Join(p.control.Close(), p.journals.close()); err != nil {
			b.Fatal(err)
		}
	}
	for _, f := range theirs {
		err = errors.Join(err, f.Close())
	}
	if err := errors.Join(err, Kept{FDs: ours}.close()); err != nil {
		b.Error(err)
	}
}
