package keeper

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"upall/internal/linux"
	"upall/internal/testenv"
)

// TestSurvive: entries come back as they were put, with descriptors that work.
func TestSurvive(t *testing.T) {
	k := run(t)
	l := k.next(t)
	if l.number != 1 || len(l.entries) > 0 {
		t.Errorf("life %d begins with %q", l.number, text(l.entries))
	}
	one, two := open(t, "one"), open(t, "two")
	l.put(t, "b", "first", int(one.Fd()), int(two.Fd()))
	l.put(t, "a", "\x00binary\n")
	l.put(t, "c", "", int(two.Fd()))
	l.kill(t)
	for number := 2; number < 5; number++ {
		l = k.next(t)
		wantText(t, l.entries, "b=first+2 a=\x00binary\n+0 c=+1")
		if l.number != number {
			t.Errorf("life %d, want %d", l.number, number)
		}
		got := []string{contentOf(t, l.entries[0].FDs[0]), contentOf(t, l.entries[0].FDs[1]), contentOf(t, l.entries[2].FDs[0])}
		if strings.Join(got, " ") != "one two two" {
			t.Errorf("the descriptors are of %q", got)
		}
		l.kill(t)
	}
}

// TestReplaceAndDrop, and that nothing stays open for it.
func TestReplaceAndDrop(t *testing.T) {
	k := run(t)
	l := k.next(t)
	before, after, dropped := open(t, "before"), open(t, "after"), open(t, "dropped")
	l.put(t, "a", "1", int(before.Fd()), int(before.Fd()))
	l.put(t, "b", "2", int(dropped.Fd()))
	l.put(t, "c", "3", int(after.Fd()))
	l.put(t, "a", "4", int(after.Fd()))
	for _, name := range []string{"b", "b", "none"} {
		if err := l.Drop(name); err != nil {
			t.Fatal(err)
		}
	}
	l.put(t, "d", "5")
	l.sync(t)
	if files := k.files(t); files[before.Name()] != 0 || files[dropped.Name()] != 0 || files[after.Name()] != 2 {
		t.Errorf("the keeper has %v open", files)
	}
	l.kill(t)
	l = k.next(t)
	wantText(t, l.entries, "a=4+1 c=3+1 d=5+0")
	l.put(t, "b", "6")
	l.kill(t)
	wantText(t, k.next(t).entries, "a=4+1 c=3+1 d=5+0 b=6+0")
}

// TestOneHolder: what nobody else has open lives in the keeper, and ends with it.
func TestOneHolder(t *testing.T) {
	k := run(t)
	l := k.next(t)
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reader.Close() }()
	l.put(t, "pipe", "", int(writer.Fd()))
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	l.kill(t)
	l = k.next(t)
	if _, err := syscall.Write(l.entries[0].FDs[0].Int(), []byte("x")); err != nil {
		t.Error(err)
	}
	if err := closeAll(l.entries[0].FDs); err != nil {
		t.Error(err)
	}
	if err := l.End(0); err != nil {
		t.Fatal(err)
	}
	l.leave(t, 0)
	k.wantExit(t, 0)
	if got, err := io.ReadAll(reader); string(got) != "x" || err != nil {
		t.Errorf("read %q: %v", got, err)
	}
}

func TestBounds(t *testing.T) {
	k := run(t)
	l := k.next(t)
	name, data := strings.Repeat("n", MaxName), strings.Repeat("d", MaxData)
	file := open(t, "")
	fds := make([]int, MaxFDs+1)
	for i := range fds {
		fds[i] = int(file.Fd())
	}
	l.put(t, name, data, fds[:MaxFDs]...)
	for what, err := range map[string]error{
		"no name":              l.Put("", nil),
		"a long name":          l.Put(name+"n", nil),
		"a zero in a name":     l.Put("a\x00", nil),
		"too much data":        l.Put("a", []byte(data+"d")),
		"too many descriptors": l.Put("a", nil, fds...),
		"not a descriptor":     l.Put("a", nil, 1<<30),
		"drop without a name":  l.Drop(""),
		"drop a long name":     l.Drop(name + "n"),
		"no exit code":         l.End(256),
		"less than none":       l.End(-1),
	} {
		if err == nil {
			t.Errorf("%s: no error", what)
		}
	}
	l.kill(t)
	wantText(t, k.next(t).entries, fmt.Sprintf("%s=%s+%d", name, data, MaxFDs))
}

// TestFull: the keeper could not take them, so Put says so.
func TestFull(t *testing.T) {
	k := run(t)
	l := k.next(t)
	l.limit = 3
	fd := int(open(t, "").Fd())
	l.put(t, "a", "", fd, fd)
	if err := l.Put("b", nil, fd, fd); !errors.Is(err, ErrFull) {
		t.Errorf("%v, want ErrFull", err)
	}
	l.put(t, "a", "", fd)
	l.put(t, "b", "", fd, fd)
	if err := l.Drop("b"); err != nil {
		t.Fatal(err)
	}
	l.put(t, "c", "", fd, fd)
}

// TestBurst: what was put right before the death is there, from a process that is
// really gone.
func TestBurst(t *testing.T) {
	k := runAs(t, nil, actorName, "burst")
	want(t, k.hear(t), "life 1")
	said := k.hear(t)
	want(t, said, "life 2")
	want(t, said, fmt.Sprintf("%d entries", burst))
}

// TestMany: thousands of entries, and how long they take to come back.
func TestMany(t *testing.T) {
	k := run(t)
	l := k.next(t)
	const n = 10000
	fd := int(open(t, "").Fd())
	began := time.Now()
	for i := range n {
		l.put(t, fmt.Sprintf("entry/%d", i), "data", fd)
	}
	t.Logf("%d entries put in %v", n, time.Since(began))
	l.kill(t)
	control, _, socket := k.lend(t)
	defer func() { _ = control.Close() }()
	began = time.Now()
	conn, entries, _, err := adopt(socket, -1)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d entries given back in %v", n, time.Since(began))
	l = &life{Conn: conn, entries: entries, strings: control}
	defer l.close(t)
	for i, e := range entries {
		if e.Name != fmt.Sprintf("entry/%d", i) || len(e.FDs) != 1 {
			t.Fatalf("entry %d is %q with %d descriptors", i, e.Name, len(e.FDs))
		}
	}
	if len(entries) != n {
		t.Errorf("%d entries, want %d", len(entries), n)
	}
	for i := range n {
		if err := l.Drop(fmt.Sprintf("entry/%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	l.sync(t)
	if files := k.files(t); len(files) > 5 { // standard files, signals, a socket
		t.Errorf("the keeper has %v open", files)
	}
}

// TestDescriptors: the supervisor has what it is to have, and what it executes
// nothing of that. The keeper has only its own.
func TestDescriptors(t *testing.T) {
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reader.Close() }()
	k := runAs(t, writer, actorName, "descriptors")
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	said := k.hear(t)
	want(t, said, "life 1")
	want(t, said, "done")
	if got, err := io.ReadAll(reader); string(got) != "hello" || err != nil {
		t.Errorf("the first file says %q: %v", got, err)
	}
	testenv.Eventually(t, limit, func() error {
		files := k.files(t)
		if files["anon_inode:[signalfd]"] != 1 || len(files) > 5 { // standard files, a socket
			return fmt.Errorf("the keeper has %v open", files)
		}
		return nil
	})
	for number := 2; number <= 3; number++ {
		said = k.hear(t)
		want(t, said, fmt.Sprintf("life %d", number))
		want(t, said, "no first")
		want(t, said, "done")
	}
}

// TestAdoptNothing: without a keeper there is nothing to adopt, and what is at
// the descriptor is left alone.
func TestAdoptNothing(t *testing.T) {
	file := open(t, "")
	if _, err := connection(linux.NewFD(int(file.Fd()))); err == nil || !strings.Contains(err.Error(), "no socket of a keeper") {
		t.Errorf("a file: %v", err)
	}
	if _, err := file.Stat(); err != nil {
		t.Errorf("closed: %v", err)
	}
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Close(pair[0]); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := adopt(linux.NewFD(pair[1]), -1); err == nil || err.Error() != "the keeper is gone" {
		t.Errorf("a keeper that is gone: %v", err)
	}
}

// TestLimit: the keeper takes all descriptors that it may have, and what a
// supervisor executes may have as many as without a keeper.
func TestLimit(t *testing.T) {
	bash := testenv.NeedProgram(t, "bash")
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	k := prepare(t, nil, actorName, "limit")
	k.Path = bash
	k.Args = append([]string{"bash", "-c", `ulimit -Sn 345; exec -a "$1" "$0" "${@:2}"`, executable}, k.Args...)
	k.start(t)
	said := k.hear(t)
	want(t, said, "life 1")
	want(t, said, "345")
}
