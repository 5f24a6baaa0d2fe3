package control

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"upall/internal/event"
)

func notice(n int) event.Event {
	return event.Event{Type: event.Notice, Message: fmt.Sprint(n)}
}

func output(message string) event.Event {
	return event.Event{Type: event.Log, Service: "web", Instance: "web-1", Stream: "stdout", Message: message}
}

// drain reads what is there, as text.
func drain(c *Cursor) (got []string) {
	for {
		records, _ := c.Read(nil, 3+len(got)) // a small number at first, so that it matters
		if len(records) == 0 {
			return got
		}
		for _, r := range records {
			text := fmt.Sprintf("%d %s", r.Seq, r.Message)
			if r.Type == event.Dropped {
				text = fmt.Sprintf("%d dropped %d", r.Seq, r.Count)
			}
			got = append(got, text)
		}
	}
}

func TestLogOrder(t *testing.T) {
	t.Parallel()
	l := NewLog()
	for n, e := range []event.Event{notice(1), output("two"), output("three"), notice(4), output("five")} {
		if seq := l.Append(e); seq != uint64(n+1) {
			t.Errorf("event %d got the number %d", n+1, seq)
		}
	}
	for _, test := range []struct {
		since uint64
		logs  bool
		want  []string
	}{
		{0, true, []string{"1 1", "2 two", "3 three", "4 4", "5 five"}},
		{0, false, []string{"1 1", "4 4"}},
		{1, true, []string{"2 two", "3 three", "4 4", "5 five"}},
		{3, false, []string{"4 4"}},
		{5, true, nil},
		{99, true, nil},
	} {
		if diff := cmp.Diff(test.want, drain(l.Cursor(test.since, test.logs))); diff != "" {
			t.Errorf("since %d, logs %v (-want +got):\n%s", test.since, test.logs, diff)
		}
	}
}

// Who falls behind is told how many events it has missed, and goes on with what
// is there.
func TestLogDropped(t *testing.T) {
	t.Parallel()
	l := NewLog()
	c, quiet := l.Cursor(0, true), l.Cursor(0, false)
	for n := range 3 {
		l.Append(notice(n))
	}
	if got := drain(c); len(got) != 3 {
		t.Fatalf("read %q", got)
	}
	for n := range maxEvents + 10 {
		l.Append(notice(n))
	}
	for range maxLines + 20 {
		l.Append(output(""))
	}
	got := drain(c)
	if want := fmt.Sprintf("13 dropped %d", 30); got[0] != want || len(got) != 1+maxEvents+maxLines {
		t.Errorf("got %q and %d more, want %q and %d", got[0], len(got)-1, want, maxEvents+maxLines)
	}
	if got := drain(quiet); got[0] != "13 dropped 13" || len(got) != 1+maxEvents {
		t.Errorf("without logs: %q and %d more", got[0], len(got)-1)
	}
	if got := drain(l.Cursor(0, true)); got[0] != "13 dropped 33" {
		t.Errorf("from the beginning: %q", got[0])
	}
	if got := drain(l.Cursor(8, false)); got[0] != "13 dropped 5" {
		t.Errorf("from 8: %q", got[0])
	}
	if got := drain(l.Cursor(13, false)); got[0] != "14 10" {
		t.Errorf("from 13: %q", got[0])
	}
}

// Whatever is written, the log does not grow.
func TestLogMemory(t *testing.T) {
	before := heap()
	l := NewLog()
	for n := range 4 * maxEvents {
		l.Append(notice(n))
	}
	for n := range 60 {
		for range 1000 {
			l.Append(output(strings.Repeat("x", n)))
		}
	}
	for range 1000 {
		l.Append(output(strings.Repeat("long", 16<<10)))
	}
	for range 50_000 {
		l.Append(output(""))
	}
	// The rings have room for what their limits allow, which is some 12 MB.
	if grown := heap() - before; grown > 24<<20 {
		t.Errorf("the log takes %d MB", grown>>20)
	}
	runtime.KeepAlive(l)
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Readers, and above all one that never reads, do not hold up who writes.
func TestLogReaders(t *testing.T) {
	const count = maxEvents + 4000
	write := func(l *Log) time.Duration {
		runtime.GC()
		begun := time.Now()
		for n := range count {
			l.Append(notice(n))
		}
		return time.Since(begun)
	}
	alone := write(NewLog())

	l := NewLog()
	stuck := l.Cursor(0, true)
	for range 100 {
		l.Cursor(0, true).Read(nil, 1) // it waits, and does not come back
	}
	if besides := write(l); besides > 10*alone+time.Second {
		t.Errorf("%d events took %v while nobody read, and alone %v", count, besides, alone)
	}
	if got := drain(stuck); got[0] != fmt.Sprintf("%d dropped %d", count-maxEvents, count-maxEvents) {
		t.Errorf("who did not read gets %q", got[0])
	}

	l = NewLog()
	var readers sync.WaitGroup
	var seen, lost atomic.Int64
	for range 100 {
		readers.Go(func() {
			err := l.Cursor(0, true).Follow(t.Context(), func(r Record) error {
				if r.Type == event.Dropped {
					lost.Add(int64(r.Count))
				} else {
					seen.Add(1)
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	crowded := write(l)
	l.Close()
	readers.Wait()
	if total := seen.Load() + lost.Load(); total != 100*count {
		t.Errorf("100 readers know of %d events, want %d", total, 100*count)
	}
	t.Logf("%d events: alone %v, with 100 readers on the same processors %v", count, alone, crowded)
}

func TestLogFollowEnds(t *testing.T) {
	t.Parallel()
	l := NewLog()
	l.Append(notice(1))
	ctx, cancel := context.WithCancel(t.Context())
	err := l.Cursor(0, false).Follow(ctx, func(Record) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the context is over: %v", err)
	}
	own := errors.New("enough")
	if err := l.Cursor(0, false).Follow(t.Context(), func(Record) error { return own }); !errors.Is(err, own) {
		t.Errorf("yield's error: %v", err)
	}
	l.Close()
	if seq := l.Append(notice(2)); seq != 1 {
		t.Errorf("after Close an event got the number %d", seq)
	}
	if err := l.Cursor(0, false).Follow(t.Context(), func(Record) error { return nil }); err != nil {
		t.Errorf("the end: %v", err)
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, readers := range []int{0, 1, 100} {
		b.Run(fmt.Sprint(readers, " readers"), func(b *testing.B) {
			l := NewLog()
			var wg sync.WaitGroup
			for range readers {
				wg.Go(func() { _ = l.Cursor(0, true).Follow(b.Context(), func(Record) error { return nil }) })
			}
			e := notice(1)
			for b.Loop() {
				l.Append(e)
			}
			l.Close()
			wg.Wait()
		})
	}
}
