package record

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"upall/compose"
	"upall/internal/event"
	"upall/internal/testenv"
	"upall/supervisor/status"
)

func TestMain(m *testing.M) { testenv.Run(m) }

var start = time.Unix(1_000_000, 0).UTC()

func create(t *testing.T, base string) *Writer {
	t.Helper()
	w, err := Create(base, Header{Project: "shop", Upall: "1", Started: start}, func(message string) { t.Error(message) })
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func closeWriter(t *testing.T, w *Writer) {
	t.Helper()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestReadAgain: what was written is read again, also what came after a crash.
func TestReadAgain(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	w := create(t, base)
	plan := PlanOf(&compose.Plan{
		Services: []compose.Service{{
			Name: "api", Runtime: compose.Process, Instances: []compose.Instance{{Name: "api-1"}}, Ports: []compose.Port{{Number: 80, Protocol: "tcp"}},
			Health: &compose.Healthcheck{},
		}},
		Dependencies: []compose.Dependency{{Client: "api", Target: "db", Kind: compose.DependsOn, Condition: compose.Healthy, Required: true}},
	}, start)
	listening := event.Event{Time: start, Type: event.Listening, Service: "api", Instance: "api-1", Port: 80}
	edge := status.Edge{Client: "api", Target: "db", Port: 5432, Protocol: "tcp", Observed: true, Count: 1}
	other := status.Edge{Client: "api", Address: "192.0.2.1", Port: 443, Protocol: "tcp", Observed: true, Count: 1}
	w.Plan(plan)
	w.Event(listening)
	w.Event(event.Event{Time: start, Type: event.Log, Message: "secret"})
	w.Edges([]status.Edge{other, edge})
	w.Sync()
	while, err := Open(base, "shop", 0)
	if err != nil || len(while.Events) != 1 {
		t.Errorf("while it is written: %+v, %v", while, err)
	}
	// Killed in the middle of a line.
	file, err := os.OpenFile(w.Path(), os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = file.WriteString(`{"event":{"ti`)
		err = errors.Join(err, file.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	closeWriter(t, w)
	w, err = Continue(base, "shop", func(message string) { t.Error(message) })
	if err != nil {
		t.Fatal(err)
	}
	edge.Count = 2
	w.Event(listening)
	w.Edges([]status.Edge{edge})
	closeWriter(t, w)
	w.Event(listening) // comes to nothing
	got, err := Open(base, "shop", 1)
	want := &Run{
		Header: Header{Format, "shop", "1", start}, Plan: plan,
		Edges: []status.Edge{edge, other}, Events: []event.Event{listening, listening}, Lost: 1,
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// TestKept: the newest records are kept, and a project without any has none.
func TestKept(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	if _, err := Open(base, "shop", 0); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("open without a record: %v", err)
	}
	for range maxKept + 3 {
		closeWriter(t, create(t, base))
	}
	all, err := List(base, "shop")
	if err != nil || len(all) != maxKept || filepath.Base(all[0].Path) != "8.jsonl" || all[0].Number != 1 {
		t.Errorf("records: %+v, %v", all, err)
	}
	if _, err := Open(base, "shop", maxKept+1); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("open one that is gone: %v", err)
	}
	if err := Remove(base, "shop"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(base); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("left: %v", err)
	}
}

// TestFullDisk: it is said once, and nobody waits.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	said := make(chan string, 10)
	w := newWriter(full, 0, func(message string) { said <- message })
	for range 3 * maxQueued {
		w.Event(event.Event{Type: event.Ready})
	}
	w.Sync()
	w.Event(event.Event{Type: event.Ready})
	closeWriter(t, w)
	close(said)
	if first := <-said; !strings.Contains(first, "no space left on device") {
		t.Errorf("said: %q", first)
	}
	for more := range said {
		t.Errorf("said again: %q", more)
	}
}

// TestUnwritable: where there is no place for a record there is an error.
func TestUnwritable(t *testing.T) {
	t.Parallel()
	base := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(base, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if w, err := Create(base, Header{Project: "shop"}, nil); err == nil {
		closeWriter(t, w)
		t.Error("a record below a file")
	}
	var none *Writer
	none.Event(event.Event{})
	none.Plan(Plan{})
	none.Edges([]status.Edge{{}})
	closeWriter(t, none)
}

// TestBounded: a record does not grow for ever, and its edges are the newest.
func TestBounded(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	w := create(t, base)
	w.Sync()
	w.limit = 1000 // its goroutine waits
	for n := range uint64(100) {
		w.Event(event.Event{Type: event.Ready, Service: "api", Instance: "api-1"})
		w.Edges([]status.Edge{{Client: "api", Target: "db", Count: n}})
		w.Sync()
	}
	closeWriter(t, w)
	run, err := Open(base, "shop", 0)
	if err != nil || len(run.Events) == 0 || len(run.Events) > 12 || run.Lost < 80 {
		t.Errorf("%d events, %d lost, %v", len(run.Events), run.Lost, err)
	}
	if stat, err := os.Stat(w.Path()); err != nil || stat.Size() > 2*1000+500 {
		t.Errorf("size: %v, %v", stat.Size(), err)
	}
}

// TestNoRecord: what is none is no record.
func TestNoRecord(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "{}\n", "x\n{}\n", `{"run":{"format":99}}` + "\n", `{"run":{"format":1}`} {
		if run, err := Read(strings.NewReader(text)); err == nil {
			t.Errorf("%q: %+v", text, run)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"run":{"format":1,"project":"shop"}}` + "\n" + `{"edges":[{"client":"api"}]}` + "\n" + `{"event":{"type":"ready"}}` + "\n"))
	f.Fuzz(func(_ *testing.T, text []byte) {
		_, _ = Read(strings.NewReader(string(text)))
	})
}

// BenchmarkEvent is what the one who tells of an event pays.
func BenchmarkEvent(b *testing.B) {
	w, err := Create(b.TempDir(), Header{Project: "shop"}, func(message string) { b.Error(message) })
	if err != nil {
		b.Fatal(err)
	}
	e := event.Event{Time: start, Type: event.HoldEnded, Service: "api", Instance: "api-1", Target: "db", Port: 5432, End: event.Released}
	for b.Loop() {
		w.Event(e)
	}
	if err := w.Close(); err != nil {
		b.Error(err)
	}
}
