package tui

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"upall/internal/event"
	"upall/internal/testenv"
	"upall/internal/words"
)

// tagged marks each line with the stream it came on: Out and Err of one golden.
type tagged struct {
	b   *strings.Builder
	tag string
}

func (w tagged) Write(p []byte) (int, error) {
	if !strings.HasSuffix(string(p), "\n") {
		fmt.Fprintf(w.b, "NOT A LINE: ")
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(string(p), "\n"), "\n") {
		fmt.Fprintf(w.b, "%s %q\n", w.tag, line)
	}
	return len(p), nil
}

// play prints events one second apart and returns what came on both streams.
func play(t *testing.T, options Options, events ...event.Event) string {
	t.Helper()
	var b strings.Builder
	options.Out, options.Err = tagged{&b, "out"}, tagged{&b, "err"}
	p := NewPrinter(options)
	at := time.Date(2024, 2, 29, 12, 0, 0, 120_000_000, time.UTC)
	for _, e := range events {
		e.Time = at
		at = at.Add(time.Second)
		if err := p.Print(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Flush(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func line(instance, text string) event.Event {
	service, _, _ := strings.Cut(instance, "-")
	return event.Event{Type: event.Log, Service: service, Instance: instance, Stream: "stdout", Message: text}
}

func errLine(instance, text string) event.Event {
	e := line(instance, text)
	e.Stream = "stderr"
	return e
}

func state(instance string, s event.State, code int) event.Event {
	return event.Event{Type: event.StateChanged, Instance: instance, State: s, Code: code}
}

func began(id uint64, client, target string, port uint16) event.Event {
	return event.Event{Type: event.HoldBegan, Hold: id, Instance: client, Target: target, Port: port, Way: event.Parked}
}

func ended(id uint64, client, target string, port uint16, end event.End, cause string, elapsed time.Duration) event.Event {
	e := began(id, client, target, port)
	e.Type, e.End, e.Cause, e.Elapsed = event.HoldEnded, end, cause, elapsed
	return e
}

// aRun is a bit of everything.
func aRun() []event.Event {
	return []event.Event{
		line("worker-10", "hello"),
		errLine("api-1", "a warning"),
		began(1, "api-1", "db", 5432),
		line("noisy-1", "not shown where it is not attached"),
		{Type: event.Listening, Service: "db", Instance: "db-1", Port: 5432},
		{Type: event.Ready, Service: "worker", Instance: "worker-10", Elapsed: time.Second}, // it serves nobody
		{Type: event.Serving, Service: "db", Instance: "db-1"},
		{Type: event.Ready, Service: "db", Instance: "db-1", Elapsed: 2950 * time.Millisecond},
		ended(1, "api-1", "db", 5432, event.Released, "", 3024*time.Millisecond),
		{Type: event.CycleFound, Members: []string{"api", "worker"}, Message: "the youngest is let through after 1 min 0 s"},
		{Type: event.Warning, Message: "key \"networks\" is ignored"},
		{Type: event.Warning, Service: "db", Message: "port 80 needs privilege\nremapped"},
		state("api-1", event.Starting, 0),
		state("api-1", event.Exited, 1),
		state("worker-10", event.Restarting, 2),
		state("api-1", event.Restarting, 0),
		state("noisy-1", event.Exited, 0),
		{Type: event.StateChanged, Instance: "db-1", State: event.Failed, Message: "exec: no such file"},
		line("later-1", "an instance that was not announced"),
	}
}

func TestPrinter(t *testing.T) {
	names := []string{"worker-10", "db-1", "api-1", "noisy-1"}
	notNoisy := func(service string) bool { return service != "noisy" }
	for name, options := range map[string]Options{
		"plain":      {Prefix: true, Instances: names},
		"color":      {Prefix: true, Color: true, Instances: names, Attach: notNoisy},
		"timestamps": {Prefix: true, Timestamps: true, Instances: names},
		"no-prefix":  {Instances: names},
	} {
		t.Run(name, func(t *testing.T) { testenv.Golden(t, name, play(t, options, aRun()...)) })
	}
}

func TestPrinterTexts(t *testing.T) {
	testenv.Golden(t, "texts", play(t, Options{Prefix: true, Instances: []string{"a"}},
		line("a", ""),
		line("a", "tab\tand \x1b[31mred\x1b[0m and \x00\xff\x07"),
		line("a", "10%\r20%\r100%"),
		line("a", "\rfrom the start"),
		line("a", "windows\r"),
		line("a", "two\nlines"),
		line("a", strings.Repeat("long ", 30)),
	))
}

func TestPrinterColors(t *testing.T) {
	var names []string
	var events []event.Event
	for i := range 12 {
		names = append(names, fmt.Sprintf("s%02d-1", 11-i))
		events = append(events, line(fmt.Sprintf("s%02d-1", i), "x"))
	}
	testenv.Golden(t, "colors", play(t, Options{Prefix: true, Color: true, Instances: names}, events...))
}

func TestPrinterHolds(t *testing.T) {
	const gone = "db exited with code 1"
	tests := map[string][]event.Event{
		"one of each end": {
			began(1, "api-1", "db", 5432),
			ended(1, "api-1", "db", 5432, event.Released, "", 12*time.Millisecond),
			began(2, "api-1", "db", 5433),
			ended(2, "api-1", "db", 5433, event.Refused, "db listens on 5432 only", 5*time.Second),
			began(3, "api-1", "mq", 5672),
			ended(3, "api-1", "mq", 5672, event.Expired, "mq does not listen", time.Minute),
			began(4, "api-1", "s3", 80),
			ended(4, "api-1", "s3", 80, event.Canceled, "", 999*time.Microsecond),
		},
		"many at once": {
			began(1, "api-1", "db", 5432), began(2, "api-1", "db", 5432), began(3, "web-1", "db", 5432), began(4, "api-1", "db", 5432),
			ended(1, "api-1", "db", 5432, event.Canceled, "", time.Second),
			ended(3, "web-1", "db", 5432, event.Released, "", 2*time.Second),
			ended(2, "api-1", "db", 5432, event.Released, "", 3*time.Second),
			ended(4, "api-1", "db", 5432, event.Released, "", 2*time.Second),
		},
		"gives up again and again, then connects": {
			began(1, "api-1", "db", 5432),
			ended(1, "api-1", "db", 5432, event.Canceled, "", time.Second),
			began(2, "api-1", "db", 5432),
			ended(2, "api-1", "db", 5432, event.Canceled, "", time.Second),
			began(3, "api-1", "db", 5432),
			ended(3, "api-1", "db", 5432, event.Released, "", 300*time.Millisecond),
			began(4, "api-1", "db", 5432),
		},
		"refused again and again, then exits": {
			began(1, "api-1", "db", 5432),
			ended(1, "api-1", "db", 5432, event.Refused, gone, time.Second),
			began(2, "api-1", "db", 5432),
			ended(2, "api-1", "db", 5432, event.Refused, gone, 0),
			began(3, "api-1", "db", 5432),
			ended(3, "api-1", "db", 5432, event.Refused, gone, 0),
			state("api-1", event.Exited, 1),
			began(4, "api-1", "db", 5432),
		},
		"refused for another reason": {
			began(1, "api-1", "db", 5432),
			ended(1, "api-1", "db", 5432, event.Canceled, "", time.Second),
			began(2, "api-1", "db", 5432),
			ended(2, "api-1", "db", 5432, event.Refused, "", 0),
			began(3, "api-1", "db", 5432),
			ended(3, "api-1", "db", 5432, event.Refused, gone, 0),
		},
		"diagnosed once, unless it was said": {
			began(1, "api-1", "db", 5432),
			diagnosed("api-1", "db", 5432, event.IsStarting, "db:5432 does not listen yet"),
			diagnosed("api-1", "db", 5432, event.LoopbackOnly, "db listens on 127.0.0.1:5432 only"),
			ended(1, "api-1", "db", 5432, event.Refused, gone, time.Second),
			diagnosed("api-1", "db", 5432, event.HasExited, gone),
			diagnosed("api-2", "db", 5432, event.LoopbackOnly, "db listens on 127.0.0.1:5432 only"),
			diagnosed("api-1", "db", 5432, event.HasExited, gone+": no data"),
			diagnosed("api-1", "web", 80, event.InCycle, "api, web wait for each other"),
		},
		"an end whose begin was not seen": {
			ended(9, "api-1", "db", 5432, event.Released, "", time.Second),
		},
	}
	for name, events := range tests {
		t.Run(name, func(t *testing.T) {
			file := "holds-" + strings.ReplaceAll(strings.ReplaceAll(name, ",", ""), " ", "-")
			testenv.Golden(t, file, play(t, Options{Prefix: true, Instances: []string{"api-1", "web-1"}}, events...))
		})
	}
}

func diagnosed(instance, target string, port uint16, kind event.Kind, cause string) event.Event {
	service, _, _ := strings.Cut(instance, "-")
	return event.Event{
		Type: event.Diagnosed, Service: service, Instance: instance, Target: target, Port: port, Kind: kind, Cause: cause,
		Message: fmt.Sprintf("%s waits for %s:%d: %s", service, target, port, cause),
	}
}

func TestPrinterWriteError(t *testing.T) {
	r, w := io.Pipe()
	_ = r.Close()
	p := NewPrinter(Options{Out: w, Err: w})
	for range 2 {
		if err := p.Print(line("a", "x")); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("error %v, want that of the writer", err)
		}
	}
}

func TestUseColor(t *testing.T) {
	tests := []struct {
		noColor    bool
		env        string
		isTerminal bool
		want       bool
	}{
		{false, "", true, true},
		{false, "", false, false},
		{true, "COMPOSE_ANSI=always", true, false},
		{false, "NO_COLOR=1", true, false},
		{false, "NO_COLOR=", true, true},
		{false, "TERM=dumb", true, false},
		{false, "COMPOSE_ANSI=never", true, false},
		{false, "COMPOSE_ANSI=always", false, true},
		{false, "COMPOSE_ANSI=auto", false, false},
	}
	for _, tt := range tests {
		key, value, _ := strings.Cut(tt.env, "=")
		env := func(name string) string {
			if name == key {
				return value
			}
			return ""
		}
		if got := UseColor(tt.noColor, env, tt.isTerminal); got != tt.want {
			t.Errorf("UseColor(%t, %s, %t) = %t", tt.noColor, tt.env, tt.isTerminal, got)
		}
	}
}

func TestSeconds(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                        "0.0 ms",
		1500 * time.Microsecond:  "1.5 ms",
		340 * time.Millisecond:   "340 ms",
		3024 * time.Millisecond:  "3.02 s",
		59999 * time.Millisecond: "59.99 s",
		time.Minute:              "1 min 0 s",
		125 * time.Second:        "2 min 5 s",
	} {
		if got := words.Seconds(d); got != want {
			t.Errorf("words.Seconds(%v) = %q, want %q", d, got, want)
		}
	}
}
