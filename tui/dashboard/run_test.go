package dashboard

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"upall/internal/event"
	"upall/supervisor/control"
)

// leavesScreen is what a terminal is sent to show what was there before.
const leavesScreen = "\x1b[?1049l"

// runWith runs a dashboard on a terminal that is a buffer.
func runWith(t *testing.T, api API, o Options) (result Result, out string, err error) {
	t.Helper()
	var screen bytes.Buffer
	o.API, o.Project, o.Out, o.Env = api, "shop", &screen, []string{"TERM=xterm-256color"}
	// What is typed never comes to an end, as on a terminal.
	reader, writer := io.Pipe()
	defer func() { _ = writer.Close() }()
	o.In = reader
	result, err = New(o).Run(t.Context())
	return result, screen.String(), err
}

// TestRunEnds: however it ends, the screen is left.
func TestRunEnds(t *testing.T) {
	over := event.Event{Type: event.ProjectChanged, State: event.StateOver, Time: time.Now().Add(time.Hour)}
	lost := errors.New("connection lost")
	for name, test := range map[string]struct {
		emit func(handle func(control.Record) error) error
		want func(r Result, err error) bool
	}{
		"the project is over": {
			func(handle func(control.Record) error) error { return handle(control.Record{Event: over}) },
			func(r Result, err error) bool { return err == nil && r.IsOver && r.Choice == None },
		},
		"the supervisor is gone": {
			func(func(control.Record) error) error { return lost },
			func(r Result, err error) bool { return err == nil && errors.Is(r.Err, lost) },
		},
		"a panic": {
			func(func(control.Record) error) error { panic("oops") },
			func(_ Result, err error) bool { return err != nil && strings.Contains(err.Error(), "oops") },
		},
	} {
		t.Run(name, func(t *testing.T) {
			result, out, err := runWith(t, &fake{emit: test.emit}, Options{})
			if !test.want(result, err) {
				t.Errorf("result %+v, error %v", result, err)
			}
			if entered, left := strings.LastIndex(out, "\x1b[?1049h"), strings.LastIndex(out, leavesScreen); entered > left {
				t.Errorf("the screen is not left: %q", out)
			}
		})
	}
}

func TestRunIsCalledOff(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	d := New(Options{API: &fake{}, Project: "shop", In: strings.NewReader(""), Out: io.Discard})
	if r, err := d.Run(ctx); err != nil || r.Choice != None {
		t.Errorf("result %+v, error %v", r, err)
	}
}

// TestPlain holds that how things are comes first, and then what changes, once.
func TestPlain(t *testing.T) {
	f := recorded(t, "quickstart", waiting)
	api := &fake{snapshot: f.snapshot, emit: func(handle func(control.Record) error) error {
		for _, e := range []event.Event{
			{Type: event.Listening, Service: "kv", Instance: "kv-1", Port: 7000, Time: f.now},
			{Type: event.ProjectChanged, State: event.StateOver, Time: f.now},
		} {
			if err := handle(control.Record{Event: e}); err != nil {
				return err
			}
		}
		return nil
	}}
	var out strings.Builder
	if err := Plain(t.Context(), api, &out); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	for _, want := range []string{"kv does not listen on port 7000 yet", "0 of 5 ready\n", "kv-1 listens on port 7000\n", "the project is over"} {
		if strings.Count(text, want) != 1 {
			t.Errorf("%q is %d times in:\n%s", want, strings.Count(text, want), text)
		}
	}
	if strings.Contains(text, "\x1b") {
		t.Errorf("there are control sequences in %q", text)
	}
}
