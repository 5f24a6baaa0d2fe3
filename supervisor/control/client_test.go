package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path/filepath"
	"reflect"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"upall/compose"
	"upall/internal/testenv"
)

func TestSnapshotComesOver(t *testing.T) {
	t.Parallel()
	s := serve(t)
	got, err := s.dial().Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if want := s.project.Snapshot(); !reflect.DeepEqual(want, got) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func TestNobodyAnswers(t *testing.T) {
	t.Parallel()
	if _, err := Dial(t.Context(), filepath.Join(t.TempDir(), "none")); !errors.Is(err, ErrGone) {
		t.Errorf("dial: %v", err)
	}
}

// Only a connection that somebody has had, or may have, is tried again.
func TestWasCut(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]bool{
		io.ErrUnexpectedEOF:  true,
		syscall.ECONNRESET:   true,
		syscall.ECONNREFUSED: false, // nobody listens
		fs.ErrNotExist:       false, // it has ended
		syscall.EACCES:       false, // it is another user's
	} {
		if got := wasCut(fmt.Errorf("%w: %w", ErrGone, err)); got != want {
			t.Errorf("%v: %v, want %v", err, got, want)
		}
	}
}

func TestChangesComeOver(t *testing.T) {
	t.Parallel()
	s := serve(t)
	c := s.dial()
	spec := &Spec{Plan: &compose.Plan{Name: "shop"}, Project: "services: {}", Intercept: true, Grace: new(time.Second), Ending: Ending{From: "api"}}
	if seq, err := c.Apply(t.Context(), spec); err != nil || seq != 3 {
		t.Errorf("apply: %d, %v", seq, err)
	}
	if diff := cmp.Diff([]*Spec{spec}, s.project.specs, cmpopts.IgnoreFields(Spec{}, "ID")); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
	action := Action{Verb: Restart, Services: []string{"api", "db"}, Timeout: new(1500 * time.Millisecond), NoDeps: true}
	if _, err := c.Act(t.Context(), action); err != nil {
		t.Errorf("act: %v", err)
	}
	action.Timeout = new(2 * time.Second)
	if diff := cmp.Diff([]Action{action}, s.project.actions); diff != "" {
		t.Errorf("actions (-want +got):\n%s", diff)
	}
}

func TestErrorsComeOver(t *testing.T) {
	t.Parallel()
	c := serve(t).dial()
	_, err := c.Act(t.Context(), Action{Verb: Stop, Services: []string{"nobody"}})
	if e, ok := errors.AsType[*Error](err); !ok || e.Status != http.StatusNotFound || e.Message != "no such service: nobody" {
		t.Errorf("an error of the project: %v", err)
	}
	_, err = c.Act(t.Context(), Action{Verb: Stop, Services: []string{"broken"}})
	if e, ok := errors.AsType[*Error](err); !ok || e.Status != http.StatusInternalServerError || e.Message != "first line second line" {
		t.Errorf("any error: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := c.Act(ctx, Action{Verb: Stop, Services: []string{"slow"}}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("patience is over: %v", err)
	}
}

func TestLogsComeOver(t *testing.T) {
	t.Parallel()
	c := serve(t).dial()
	var got []string
	collect := func(l LogLine) error { got = append(got, l.Instance+" "+l.Stream+" "+l.Message); return nil }
	if err := c.Logs(t.Context(), LogQuery{Tail: -1}, collect); err != nil {
		t.Error(err)
	}
	want := []string{"api-1 stdout connect to db:5432", "db-1 stderr recovery <in progress>"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	got = nil
	if err := c.Logs(t.Context(), LogQuery{Services: []string{"bytes"}}, collect); err != nil || got[2] != "bytes-1  "+anyBytes {
		t.Errorf("bytes that are not UTF-8: %q, %v", got, err)
	}
	err := c.Logs(t.Context(), LogQuery{Services: []string{"nobody"}}, collect)
	if e, ok := errors.AsType[*Error](err); !ok || e.Status != http.StatusNotFound {
		t.Errorf("an error before the first line: %v", err)
	}
	if err = c.Logs(t.Context(), LogQuery{Services: []string{"broken"}}, collect); err == nil || err.Error() != "the disk is gone" {
		t.Errorf("an error after it: %v", err)
	}
	own := fmt.Errorf("the terminal is gone: %w", ErrGone)
	if err = c.Logs(t.Context(), LogQuery{Follow: true}, func(LogLine) error { return own }); !errors.Is(err, own) {
		t.Errorf("yield's error: %v", err)
	}
}

// What is asked while the supervisor crashes is answered by its next life, and what
// is applied is known again there.
func TestCallsGoOverACrash(t *testing.T) {
	t.Parallel()
	s := serve(t)
	c := s.dial()
	s.crash()
	asked := make(chan error, 2)
	go func() {
		got, err := c.Snapshot(t.Context())
		if err == nil && got.Life != 2 {
			err = fmt.Errorf("life %d", got.Life)
		}
		asked <- err
	}()
	go func() {
		_, err := c.Apply(t.Context(), &Spec{Plan: &compose.Plan{Name: "shop"}})
		asked <- err
	}()
	s.live(2)
	for range 2 {
		if err := <-asked; err != nil {
			t.Error(err)
		}
	}
	if len(s.project.specs) == 0 || s.project.specs[0].ID == "" {
		t.Errorf("specs: %v", s.project.specs)
	}
}

// The lease stays with who has it over a crash, before those who wait for it.
func TestLeaseOverACrash(t *testing.T) {
	t.Parallel()
	s := serve(t)
	c := s.dial()
	first, err := c.Lease(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	queued, second := make(chan int, 10), make(chan *Lease, 1)
	go func() {
		l, err := c.Lease(t.Context(), func(ahead, _ int) { queued <- ahead })
		if err != nil {
			t.Error(err)
		}
		second <- l
	}()
	for life := range 3 {
		if ahead := <-queued; ahead != 1 {
			t.Errorf("%d come before the second", ahead)
		}
		s.crash()
		s.live(life + 2)
	}
	if ahead := <-queued; ahead != 1 {
		t.Errorf("%d come before the second", ahead)
	}
	first.Release()
	(<-second).Release()
}

// The lease goes to one after the other, in the order in which they have come.
func TestLeaseOrder(t *testing.T) {
	t.Parallel()
	s := serve(t)
	c := s.dial()
	first, err := c.Lease(t.Context(), func(int, int) { t.Error("the first has to wait") })
	if err != nil {
		t.Fatal(err)
	}
	const count = 5
	turns := make(chan int, count)
	queued := make(chan int, count+1)
	for n := range count {
		go func() {
			l, err := c.Lease(t.Context(), func(ahead, _ int) { queued <- ahead })
			if err != nil {
				t.Error(err)
				return
			}
			turns <- n
			l.Release()
		}()
		if ahead := <-queued; ahead != n+1 {
			t.Errorf("number %d has %d before it", n, ahead)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := c.Lease(ctx, func(ahead, holder int) {
		if ahead != count+1 || holder == 0 {
			t.Errorf("ahead %d, holder %d", ahead, holder)
		}
		cancel()
	}); !errors.Is(err, context.Canceled) {
		t.Errorf("who does not wait any more: %v", err)
	}
	select {
	case n := <-turns:
		t.Errorf("number %d has the lease beside the first", n)
	default:
	}
	first.Release()
	for n := range count {
		if got := <-turns; got != n {
			t.Errorf("turn %d is number %d's", n, got)
		}
	}
	testenv.Eventually(t, 5*time.Second, func() error {
		l, err := c.Lease(t.Context(), func(int, int) {})
		if err != nil {
			return err
		}
		l.Release()
		return nil
	})
}
