package engine

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/pkg/stdcopy"

	"upall/internal/lines"
)

// framed is a piece of a multiplexed log.
func framed(stream stdcopy.StdType, text string) []byte {
	header := make([]byte, 8)
	header[0] = byte(stream)
	binary.BigEndian.PutUint32(header[4:], uint32(len(text)))
	return append(header, text...)
}

const stampA, stampB = "2026-11-21T06:59:10.814700765Z ", "2026-11-21T06:59:11.000000000Z "

func TestReadStamped(t *testing.T) {
	t.Parallel()
	piece := strings.Repeat("x", pieceLength)
	long := strings.Repeat("y", lines.Max)
	out := func(texts ...string) (log []byte) {
		for _, text := range texts {
			log = append(log, framed(stdcopy.Stdout, text)...)
		}
		return log
	}
	for _, test := range []struct {
		name   string
		hasTTY bool
		log    []byte
		want   []string // stream, seconds and text
	}{
		{"none", false, nil, nil},
		{"lines", false, out(stampA+"a\n", stampB+"b c\n"), []string{"stdout 10 a", "stdout 11 b c"}},
		{"an empty line", false, out(stampA + "\n"), []string{"stdout 10 "}},
		{"both streams", false, append(out(stampA+"a\n"), framed(stdcopy.Stderr, stampB+"b\n")...), []string{"stdout 10 a", "stderr 11 b"}},
		{"pieces", false, out(stampA+piece, stampA+piece, stampA+"end\n"), []string{"stdout 10 " + piece + piece + "end"}},
		{"no end", false, out(stampA+"a\n", stampB+"b"), []string{"stdout 10 a", "stdout 11 b"}},
		{"no end before the next run", false, out(stampA+"a", stampB+"b\n"), []string{"stdout 10 a", "stdout 11 b"}},
		{"too long", false, out(stampA+long+"z\n", stampB+"b\n"), []string{"stdout 10 " + long, "stdout 10 z", "stdout 11 b"}},
		{"without a time", false, out("a b\n"), []string{"stdout 0 a b"}},
		{"a terminal", true, []byte(stampA + "a\r\n" + stampB + "b\r\n"), []string{"stdout 10 a\r", "stdout 11 b\r"}},
		{"pieces on a terminal", true, []byte(stampA + piece + stampA + piece + stampA + "end\r\n"), []string{"stdout 10 " + piece + piece + "end\r"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			err := readStamped(bytes.NewReader(test.log), test.hasTTY, func(stream, text string, at time.Time) {
				second := at.Second()
				if at.IsZero() {
					second = 0
				}
				got = append(got, fmt.Sprintf("%s %d %s", stream, second, text))
			})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestReadStampedFails(t *testing.T) {
	t.Parallel()
	broken := io.MultiReader(bytes.NewReader(framed(stdcopy.Stdout, stampA+"a\n")), bytes.NewReader(framed(stdcopy.Systemerr, "no such log")))
	told := 0
	err := readStamped(broken, false, func(string, string, time.Time) { told++ })
	if err == nil || !strings.Contains(err.Error(), "no such log") || told != 1 {
		t.Errorf("told %d lines and ended with %v", told, err)
	}
}

// lineSource is a source of lines at the given seconds, which ends with err.
func lineSource(ctx context.Context, work *sync.WaitGroup, name string, err error, seconds ...int) *source {
	return newSource(ctx, work, func(tell func(Line)) error {
		for _, n := range seconds {
			tell(Line{Instance: name, Text: fmt.Sprintf("%s%d", name, n), At: second(n)})
		}
		return err
	})
}

func TestMerge(t *testing.T) {
	t.Parallel()
	unreadable := errors.New("unreadable")
	ctx, cancel := context.WithCancel(t.Context())
	var work sync.WaitGroup
	defer work.Wait()
	defer cancel()
	var got []string
	take := func(l Line) error { got = append(got, l.Text); return nil }
	err := merge([]*source{
		lineSource(ctx, &work, "a", nil, 1, 4, 4, 9),
		lineSource(ctx, &work, "b", unreadable, 2, 4),
		lineSource(ctx, &work, "c", nil),
		lineSource(ctx, &work, "d", nil, 5, 3, 6), // out of order among themselves
	}, take)
	want := []string{"a1", "b2", "a4", "a4", "b4", "d5", "d3", "d6", "a9"}
	if diff := cmp.Diff(want, got); diff != "" || !errors.Is(err, unreadable) {
		t.Errorf("ended with %v: %s", err, diff)
	}
	enough := errors.New("enough")
	if err := merge([]*source{lineSource(ctx, &work, "a", nil, 1, 2)}, func(Line) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("ended with %v, want the error of who takes the lines", err)
	}
}

func TestSeen(t *testing.T) {
	t.Parallel()
	directory := t.TempDir() + "/new"
	c := ref{id: strings.Repeat("c", idLength), instance: "a-1"}
	open := func(c ref) *seen {
		t.Helper()
		s, err := openSeen(directory, c)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.close(); err != nil {
				t.Error(err)
			}
		})
		return s
	}
	s := open(c)
	if len(s.at) > 0 {
		t.Errorf("something is known of a new container: %v", s.at)
	}
	if err := errors.Join(s.begin(c, second(5)), s.add(streamOut, second(9))); err != nil {
		t.Fatal(err)
	}
	s = open(c) // as another process does
	if !s.isNew(streamErr, second(6)) || s.isNew(streamErr, second(5)) || s.isNew(streamOut, second(9)) || !s.isNew(streamOut, second(10)) {
		t.Errorf("known is %v", s.at)
	}
	if want := second(9).Add(-overlap); !s.since().Equal(want) {
		t.Errorf("reads on from %v, want %v", s.since(), want)
	}
	if err := s.begin(c, time.Time{}); err != nil {
		t.Fatal(err)
	}
	if s = open(c); !s.isNew(streamOut, second(1)) || len(s.at) == 0 || s.since().Unix() > 0 {
		t.Errorf("known of a container that has never run is %v", s.at)
	}
	other := ref{id: strings.Repeat("d", idLength), instance: "a-1"}
	if s = open(other); len(s.at) > 0 {
		t.Errorf("known of another container of the instance: %v", s.at)
	}
}
