package keeper

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// model is what a keeper must hold, by a plain reading of the protocol.
type model struct {
	names []string // in the order of the first put
	data  map[string]string
	fds   map[string]int
}

func newModel() *model { return &model{data: map[string]string{}, fds: map[string]int{}} }

// take is what a message does that comes with a number of descriptors.
func (m *model) take(message []byte, fds int) {
	verb, rest, _ := bytes.Cut(message, []byte(" "))
	switch string(verb) {
	case "put":
		name, data, isWhole := bytes.Cut(rest, []byte{0})
		if !isWhole || len(name) < 1 || len(name) > 255 || len(data) > 32<<10 || fds > 8 {
			return
		}
		if _, isHeld := m.data[string(name)]; !isHeld {
			m.names = append(m.names, string(name))
		}
		m.data[string(name)], m.fds[string(name)] = string(data), fds
	case "drop":
		if fds <= 8 && len(message) < 32<<10 {
			m.drop(string(rest))
		}
	}
}

func (m *model) drop(name string) {
	if _, isHeld := m.data[name]; !isHeld {
		return
	}
	delete(m.data, name)
	delete(m.fds, name)
	var names []string
	for _, n := range m.names {
		if n != name {
			names = append(names, n)
		}
	}
	m.names = names
}

func (m *model) total() (sum int) {
	for _, n := range m.fds {
		sum += n
	}
	return sum
}

func (m *model) String() string {
	var out []string
	for _, n := range m.names {
		out = append(out, fmt.Sprintf("%s=%s+%d", n, m.data[n], m.fds[n]))
	}
	return strings.Join(out, " ")
}

// send sends a message as it is.
func (l *life) send(t testing.TB, message []byte, file *os.File, fds int) {
	t.Helper()
	var rights []byte
	if fds > 0 {
		all := make([]int, fds)
		for i := range all {
			all[i] = int(file.Fd())
		}
		rights = syscall.UnixRights(all...)
	}
	if _, _, err := l.socket.WriteMsgUnix(message, rights, nil); err != nil {
		t.Fatal(err)
	}
}

// sync waits until the keeper has read everything: it closes what comes with a
// message that it does not understand.
func (l *life) sync(t testing.TB) {
	t.Helper()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	l.send(t, []byte("sync"), writer, 1)
	if err := errors.Join(writer.Close(), reader.SetReadDeadline(time.Now().Add(limit))); err != nil {
		t.Fatal(err)
	}
	if _, err := reader.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Fatalf("the keeper does not read on: %v", err)
	}
	if err := reader.Close(); err != nil {
		t.Fatal(err)
	}
}

// wantHeld fails unless the keeper has as many duplicates of file as the model.
func (k *keeping) wantHeld(t testing.TB, l *life, m *model, file *os.File) {
	t.Helper()
	l.sync(t)
	if got := k.files(t)[file.Name()]; got != m.total() {
		t.Errorf("the keeper has %d descriptors, want %d of %s", got, m.total(), m)
	}
}

// randomMessage is mostly one that means something.
func randomMessage(r *rand.Rand) []byte {
	name := fmt.Sprintf("n%d", r.IntN(30))
	switch r.IntN(8) {
	case 0:
		return []byte("drop " + name)
	case 1:
		junk := make([]byte, r.IntN(40)) // none at all, too
		for i := range junk {
			junk[i] = byte(r.IntN(256))
		}
		return junk
	case 2:
		return []byte("put " + string(bytes.Repeat([]byte("n"), 250+r.IntN(10))) + "\x00")
	case 3:
		return append([]byte("put "+name+"\x00"), bytes.Repeat([]byte("d"), 32<<10-2+r.IntN(5))...)
	case 4:
		return [][]byte{[]byte("end 256"), []byte("end "), []byte("ready "), []byte("put a"), []byte("drop a\x00"), []byte("end 1x"), []byte("put "), []byte("drop ")}[r.IntN(8)]
	default:
		return fmt.Appendf(nil, "put %s\x00%d", name, r.Uint64())
	}
}

// TestRandom: whatever is sent, over several lives, each entry is what the model
// says.
func TestRandom(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	k, m, file := run(t), newModel(), open(t, "")
	for range 6 {
		l := k.next(t)
		wantText(t, l.entries, m.String())
		for range 300 {
			message, fds := randomMessage(r), r.IntN(11)
			l.send(t, message, file, fds)
			m.take(message, fds)
		}
		l.send(t, []byte("put last\x00"), file, 0) // something is kept
		m.take([]byte("put last\x00"), 0)
		l.kill(t)
	}
	k.wantHeld(t, k.next(t), m, file)
}

// FuzzMessages sends messages, each as a byte for the descriptors, a byte for the
// length and that many bytes.
func FuzzMessages(f *testing.F) {
	for _, seed := range []string{
		"\x00\x05put a\x02\x07put a\x00xy\x01\x06drop a", "\x0b\x06put a\x00", "\x00\x00\x03\x00", "\x01\x05ready", "\x00\x05end 1",
		"\x02\x06put \x00a\x02\x08put a\x00\x00\x00",
	} {
		f.Add([]byte(seed))
	}
	k, file := run(f), open(f, "")
	l := k.next(f)
	f.Fuzz(func(t *testing.T, input []byte) {
		m := newModel()
		for len(input) >= 2 {
			fds, size := int(input[0]%12), min(int(input[1]), len(input)-2)
			message := input[2 : 2+size]
			input = input[2+size:]
			l.send(t, message, file, fds)
			m.take(message, fds)
		}
		k.wantHeld(t, l, m, file)
		for _, name := range m.names {
			l.send(t, []byte("drop "+name), file, 0)
		}
		k.wantHeld(t, l, newModel(), file)
	})
}

// BenchmarkCrash is the time from the death of a supervisor until its next life
// has all entries.
func BenchmarkCrash(b *testing.B) {
	k, file := run(b), open(b, "")
	l := k.next(b)
	for i := range 400 {
		l.put(b, fmt.Sprintf("entry/%d", i), "data", int(file.Fd()), int(file.Fd()))
	}
	for b.Loop() {
		l.kill(b)
		l.close(b)
		l = k.next(b)
		if len(l.entries) != 400 {
			b.Fatalf("%d entries", len(l.entries))
		}
		b.StopTimer()
		l.outlive(b)
		b.StartTimer()
	}
}
