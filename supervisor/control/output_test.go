package control

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// openOutput opens an Output that complains to the test.
func openOutput(t *testing.T, folder string) *Output {
	t.Helper()
	o, err := OpenOutput(folder, func(w string) { t.Errorf("warning: %s", w) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := o.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
			t.Error(err)
		}
	})
	return o
}

// say writes the message of an instance n seconds after the epoch.
func say(o *Output, n int, instance, message string) {
	service, _, _ := strings.Cut(instance, "-")
	o.Write(LogLine{Time: epoch.Add(time.Duration(n) * time.Second), Service: service, Instance: instance, Stream: "stdout", Message: message})
}

func query(t *testing.T, o *Output, q LogQuery) (got []string) {
	t.Helper()
	if err := o.Logs(t.Context(), q, func(l LogLine) error { got = append(got, l.Message); return nil }); err != nil {
		t.Error(err)
	}
	return got
}

func TestOutput(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	o := openOutput(t, folder)
	say(o, 1, "web-1", "a")
	say(o, 3, "web-1", "c")
	say(o, 2, "db-1", "b")
	say(o, 4, "web-2", "d")
	say(o, 5, "web-1", "<e>\x1b[31m\"")
	check := func(o *Output) {
		t.Helper()
		for _, test := range []struct {
			q    LogQuery
			want []string
		}{
			{LogQuery{Tail: -1}, []string{"a", "b", "c", "d", "<e>\x1b[31m\""}},
			{LogQuery{Tail: 1}, []string{"b", "d", "<e>\x1b[31m\""}},
			{LogQuery{Tail: 0}, nil},
			{LogQuery{Tail: 99, Services: []string{"db", "none"}}, []string{"b"}},
			{LogQuery{Tail: -1, Since: epoch.Add(3 * time.Second)}, []string{"c", "d", "<e>\x1b[31m\""}},
		} {
			if diff := cmp.Diff(test.want, query(t, o, test.q)); diff != "" {
				t.Errorf("%+v (-want +got):\n%s", test.q, diff)
			}
		}
	}
	check(o)
	// The next supervisor finds them, and a line that was cut by the crash harms none.
	file, err := os.OpenFile(filepath.Join(folder, "db-1.log"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = file.WriteString(`{"time":"2026`)
	if err := errors.Join(err, file.Close(), o.Close()); err != nil {
		t.Fatal(err)
	}
	say(o, 9, "web-1", "after Close")
	o = openOutput(t, folder)
	if got := query(t, o, LogQuery{Tail: 2, Services: []string{"db"}}); len(got) != 1 || got[0] != "b" {
		t.Errorf("beside a line that was cut: %q", got)
	}
	say(o, 6, "db-1", "f")
	if got := query(t, o, LogQuery{Tail: 1, Services: []string{"db"}}); len(got) != 1 || got[0] != "f" {
		t.Errorf("after it: %q", got)
	}
}

// What a program writes comes back byte by byte.
func TestOutputBytes(t *testing.T) {
	t.Parallel()
	o := openOutput(t, t.TempDir())
	say(o, 1, "web-1", anyBytes)
	say(o, 2, "web-1", "")
	if got := query(t, o, LogQuery{Tail: -1}); len(got) != 2 || got[0] != anyBytes || got[1] != "" {
		t.Errorf("got %q", got)
	}
}

// Files rotate, so that they stay bounded; what is kept is read over both.
func TestOutputRotates(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	o := openOutput(t, folder)
	o.limit = 1000
	for n := range 100 {
		say(o, n, "web-1", fmt.Sprint(n))
	}
	got := query(t, o, LogQuery{Tail: -1})
	if len(got) < 8 || len(got) > 20 || got[len(got)-1] != "99" {
		t.Errorf("kept: %q", got)
	}
	for n, message := range got {
		if want := fmt.Sprint(100 - len(got) + n); message != want {
			t.Errorf("line %d is %q, want %q", n, message, want)
		}
	}
	for _, name := range []string{"web-1.log", "web-1.log.1"} {
		if st, err := os.Stat(filepath.Join(folder, name)); err != nil || st.Size() > o.limit {
			t.Errorf("%s: %v, %v", name, st, err)
		}
	}
	if got := query(t, o, LogQuery{Tail: 10}); len(got) != 10 || got[0] != "90" {
		t.Errorf("the last 10: %q", got)
	}
	if err := o.Close(); err != nil {
		t.Error(err)
	}
	if again := query(t, openOutput(t, folder), LogQuery{Tail: -1, Services: []string{"web"}}); len(again) != len(got) && len(again) < 8 {
		t.Errorf("after a restart: %q", again)
	}
}

// Who follows gets each line once, also those of instances that are new, and over
// rotations.
func TestOutputFollow(t *testing.T) {
	t.Parallel()
	o := openOutput(t, t.TempDir())
	o.limit = 1000
	say(o, 0, "web-1", "before")
	got, ended := make(chan string), make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		ended <- o.Logs(ctx, LogQuery{Tail: 0, Follow: true}, func(l LogLine) error { got <- l.Message; return nil })
	}()
	// Nothing tells when it has begun to follow, so the first lines may be its tail.
	for n := 0; ; n++ {
		say(o, n, "new-1", "begun")
		if m, ok := receive(got, 10*time.Millisecond); ok && m == "begun" {
			break
		}
	}
	say(o, 1000, "web-1", "marker")
	for m := range got {
		if m == "marker" {
			break
		}
	}
	for n := range 200 { // some 20 files
		say(o, 2000+n, "web-1", fmt.Sprint(n))
		say(o, 2000+n, "web-2", fmt.Sprint(n))
		if a, b := <-got, <-got; a != fmt.Sprint(n) || a != b {
			t.Fatalf("got %q and %q, want %d twice", a, b, n)
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the context is over: %v", err)
	}
}

func receive(from chan string, patience time.Duration) (string, bool) {
	select {
	case m := <-from:
		return m, true
	case <-time.After(patience):
		return "", false
	}
}

// Who follows and does not read holds nobody up, and misses what is rotated away.
func TestOutputSlowFollower(t *testing.T) {
	t.Parallel()
	o := openOutput(t, t.TempDir())
	o.limit = 1000
	say(o, 0, "web-1", "first")
	reads, goOn := make(chan struct{}), make(chan struct{})
	last := make(chan string, 1)
	go func() {
		var once bool
		_ = o.Logs(t.Context(), LogQuery{Tail: -1, Follow: true}, func(l LogLine) error {
			if !once {
				once = true
				close(reads)
				<-goOn
			}
			if l.Message == "last" {
				last <- l.Message
			}
			return nil
		})
	}()
	<-reads
	for n := range 1000 {
		say(o, n, "web-1", fmt.Sprint(n))
	}
	say(o, 1000, "web-1", "last")
	close(goOn)
	if m, ok := receive(last, 10*time.Second); !ok || m != "last" {
		t.Error("the follower does not come to the end")
	}
}

// Errors of writing are said once, and lose no more than the lines.
func TestOutputErrors(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	var warnings []string
	o, err := OpenOutput(folder, func(w string) { warnings = append(warnings, w) })
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(folder, "web-1.log"), 0o700); err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		say(o, n, "web-1", "lost")
		say(o, n, "../web-1", "lost")
		say(o, n, "db-1", "kept")
	}
	if len(warnings) != 1 || !strings.Contains(warnings[0], "the output of web-1 is not kept") {
		t.Errorf("warnings: %q", warnings)
	}
	if got := query(t, o, LogQuery{Tail: -1}); len(got) != 3 {
		t.Errorf("kept: %q", got)
	}
	if err := o.Close(); err != nil {
		t.Error(err)
	}
}

func BenchmarkOutput(b *testing.B) {
	o, err := OpenOutput(b.TempDir(), func(w string) { b.Error(w) })
	if err != nil {
		b.Fatal(err)
	}
	line := LogLine{Time: epoch, Service: "web", Instance: "web-1", Stream: "stdout", Message: strings.Repeat("x", 100)}
	for b.Loop() {
		o.Write(line)
	}
	if err := o.Close(); err != nil {
		b.Error(err)
	}
}
