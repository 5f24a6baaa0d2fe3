package process

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"upall/internal/lines"
	"upall/internal/linux"
)

// crash is the panic by which a test ends a process of a journal.
type crash struct{}

// survives runs f and tells whether no crash came.
func survives(f func()) (ok bool) {
	defer func() {
		switch r := recover(); r.(type) {
		case nil:
		case crash:
			ok = false
		default:
			panic(r)
		}
	}()
	f()
	return true
}

func newMemory(t testing.TB) *linux.FD {
	t.Helper()
	fd, err := newJournals()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := fd.Close(); err != nil {
			t.Error(err)
		}
	})
	return fd
}

// life maps the memory as a new process does.
func lifeOf(t testing.TB, fd *linux.FD, f func(*journals)) (ended bool) {
	t.Helper()
	j, err := mapJournals(fd)
	if err != nil {
		t.Fatal(err)
	}
	ended = survives(func() { f(j) })
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
	return ended
}

// source gives text in pieces. At a crash what is in the buffer was taken out.
type source struct {
	text    []byte
	piece   func() int
	crashes func() bool
}

func (s *source) Read(p []byte) (int, error) {
	if len(s.text) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), max(1, s.piece()))], s.text)
	s.text = s.text[n:]
	if s.crashes() {
		panic(crash{})
	}
	return n, nil
}

func TestJournal(t *testing.T) {
	long := strings.Repeat("x", lines.Max)
	for _, test := range []struct {
		name, give string
		want       []string
	}{
		{"none", "", nil},
		{"one", "a\n", []string{"a"}},
		{"unfinished", "a\nb", []string{"a", "b"}},
		{"empty line", "\na\n", []string{"", "a"}},
		{"longest", long[1:] + "\ny\n", []string{long[1:], "y"}},
		{"piece and its end", long + "\ny\n", []string{long, "", "y"}},
		{"too long", long + "y\n", []string{long, "y"}},
		{"two too long", long + long + long[1:] + "\n", []string{long, long, long[1:]}},
	} {
		for _, piece := range []int{1, 4093, 1 << 20} {
			t.Run(fmt.Sprint(test.name, piece), func(t *testing.T) {
				var told []string
				lifeOf(t, newMemory(t), func(j *journals) {
					r := &source{[]byte(test.give), func() int { return piece }, func() bool { return false }}
					j.stderr.read(r, func(l string) { told = append(told, l) })
				})
				if !slices.Equal(told, test.want) {
					t.Errorf("%d lines, want %d", len(told), len(test.want))
				}
			})
		}
	}
}

// TestJournalCrash ends processes between any two steps that others see: every
// line is told, in order, and once but for the one at which it was ended.
func TestJournalCrash(t *testing.T) {
	for seed := range uint64(30) {
		random := rand.New(rand.NewPCG(seed, 0))
		var want []string
		for range 400 {
			want = append(want, fmt.Sprint(len(want), " ", strings.Repeat("x", random.IntN(1<<(1+random.IntN(14))))))
		}
		r := &source{
			[]byte(strings.Join(want, "\n")), func() int { return random.IntN(1 << (1 + random.IntN(16))) },
			func() bool { return random.IntN(5) == 0 },
		}
		var told []string
		fd, lives := newMemory(t), 1
		for !lifeOf(t, fd, func(j *journals) {
			j.stdout.read(r, func(l string) {
				told = append(told, l)
				if random.IntN(20) == 0 {
					panic(crash{})
				}
			})
		}) {
			lives++
		}
		if got := slices.Compact(told); !slices.Equal(got, want) {
			t.Fatalf("seed %d: %d lines in %d lives, want %d", seed, len(got), lives, len(want))
		}
	}
}

// TestJournalMoves ends the process while it moves a line to the front.
func TestJournalMoves(t *testing.T) {
	line := []byte(strings.Repeat("y", 1000))
	for _, step := range []string{"copied", "noted", "cleared in part"} {
		fd := newMemory(t)
		lifeOf(t, fd, func(j *journals) {
			s := span{start: journalData - len(line), end: journalData}
			copy(j.stdout.data, bytes.Repeat([]byte("told\n"), journalData/5))
			copy(j.stdout.data[s.start:], line)
			j.stdout.store(s)
			copy(j.stdout.data, line)
			if step != "copied" {
				j.stdout.store(span{end: len(line), dirty: s.end})
			}
			if step == "cleared in part" {
				clear(j.stdout.data[len(line):5000])
			}
		})
		var told []string
		lifeOf(t, fd, func(j *journals) {
			j.stdout.read(strings.NewReader("z\n"), func(l string) { told = append(told, l) })
		})
		if want := string(line) + "z"; !slices.Equal(told, []string{want}) {
			t.Errorf("%s: told %d lines, the first of %d bytes", step, len(told), len(told[0]))
		}
	}
}

// FuzzJournal adopts memory that anything has written to.
func FuzzJournal(f *testing.F) {
	f.Add(uint64(0), []byte("a\nb"))
	f.Add(uint64(1)<<63, []byte{})
	f.Add(uint64(3)|uint64(7)<<spanBits, []byte("abc\ndef"))
	f.Fuzz(func(t *testing.T, state uint64, data []byte) {
		fd := newMemory(t)
		lifeOf(t, fd, func(j *journals) {
			j.stdout.state.Store(state)
			copy(j.stdout.data, data)
		})
		last := ""
		lifeOf(t, fd, func(j *journals) {
			j.stdout.read(io.MultiReader(strings.NewReader("\nlast\n"), errReader{}), func(l string) { last = l })
		})
		if last != "last" {
			t.Errorf("the last line is %q", last)
		}
	})
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, errors.New("broken") }

// BenchmarkJournal compares with lines.Read, which loses what it has read.
func BenchmarkJournal(b *testing.B) {
	text := strings.Repeat(strings.Repeat("x", 99)+"\n", 10_000)
	b.Run("journal", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		lifeOf(b, newMemory(b), func(j *journals) {
			for b.Loop() {
				j.stdout.read(strings.NewReader(text), func(string) {})
			}
		})
	})
	b.Run("lines", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			lines.Read(strings.NewReader(text), func(string) {})
		}
	})
}
