package supervisor

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"upall/compose"
	"upall/internal/event"
)

func TestMachine(t *testing.T) {
	t.Parallel()
	for _, test := range slices.Concat(machineTests, machineServiceTests) {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(&compose.Plan{Services: test.services}, test.ending, test.grace)
			for _, i := range m.instances {
				i.HasCheck = i.service.Health != nil
			}
			want := strings.TrimPrefix(test.text, "\n")
			if got := runMachine(t, m, want); got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

// The back-off grows to a minute and stays there.
func TestMachineLongestBackoff(t *testing.T) {
	t.Parallel()
	m := newMachine(&compose.Plan{Services: []compose.Service{svc("a", restart("unless-stopped", 0))}}, Ending{}, nil)
	now := machineEpoch
	m.step(now, begin{})
	want := 100 * time.Millisecond
	for range 20 {
		m.step(now, ended{instance: "a-1", code: 1})
		at, ok := m.next()
		if !ok || at.Sub(now) != want {
			t.Fatalf("the back-off is %v, want %v", at.Sub(now), want)
		}
		now = at
		m.step(now, tick{})
		want = min(2*want, time.Minute)
	}
}

// machineEpoch is when the times of a text begin.
var machineEpoch = time.Unix(1_000_000, 0)

// runMachine gives the inputs of a text and returns it with what comes of them.
func runMachine(t *testing.T, m *machine, text string) string {
	var b strings.Builder
	epoch := machineEpoch
	step := func(now time.Time, in any) {
		for _, line := range machineLines(m.step(now, in)) {
			fmt.Fprintf(&b, "  %v %s\n", now.Sub(epoch), line)
		}
		if at, ok := m.next(); ok && !at.After(now) {
			t.Fatalf("at %v next wants a tick at %v", now.Sub(epoch), at.Sub(epoch))
		}
	}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "  ") {
			continue
		}
		words := strings.Fields(line)
		offset, err := time.ParseDuration(words[0])
		if err != nil {
			t.Fatal(err)
		}
		now := epoch.Add(offset)
		for at, ok := m.next(); ok && !at.After(now); at, ok = m.next() {
			step(at, tick{})
		}
		b.WriteString(line)
		switch words[1] {
		case "begin":
			step(now, begin{})
		case "ended":
			code, err := strconv.Atoi(words[3])
			if err != nil {
				t.Fatal(err)
			}
			words, at := toldLate(t, words)
			step(now, ended{words[2], code, thenOf(words[4:]), at})
		case "began":
			words, at := toldLate(t, words)
			step(now, began{words[2], at})
		case "stop":
			step(now, stop{})
		case "health":
			step(now, healthSays{words[2], event.Type(words[3])})
		case "ready":
			step(now, readied{words[2]})
		case "edge":
			step(now, edge{words[2], words[3]})
		case "stop-services":
			step(now, stopServices{services: words[2:]})
		case "kill-services":
			step(now, stopServices{services: words[2:], kill: true})
		case "start-services":
			step(now, startServices{words[2:]})
		case "restart-services":
			step(now, restartServices{services: words[2:]})
		case "kill":
			step(now, kill{})
		case "code":
			done := map[bool]string{true: "done", false: "not done"}[m.isDone()]
			fmt.Fprintf(&b, "  %v code %d, %s\n", offset, m.code, done)
		}
	}
	return b.String()
}

// toldLate takes a last word like at=2s off the words of an input.
func toldLate(t *testing.T, words []string) ([]string, time.Time) {
	last := len(words) - 1
	offset, is := strings.CutPrefix(words[last], "at=")
	if !is {
		return words, time.Time{}
	}
	d, err := time.ParseDuration(offset)
	if err != nil {
		t.Fatal(err)
	}
	return words[:last], machineEpoch.Add(d)
}

func thenOf(words []string) then {
	if len(words) == 0 {
		return asPolicy
	}
	return map[string]then{"over": over, "restarts": restarts, "may-return": mayReturn}[words[0]]
}

func machineLines(out []any) (lines []string) {
	for _, o := range out {
		switch o := o.(type) {
		case startProgram:
			lines = append(lines, "start "+o.Name)
		case stopProgram:
			lines = append(lines, "stop "+o.Name)
		case killProgram:
			lines = append(lines, "kill "+o.Name)
		case removed:
			lines = append(lines, "remove "+o.Name)
		case warned:
			lines = append(lines, "warn "+o.service+": "+o.message)
		case changed:
			if line := changeLine(o); line != "" {
				lines = append(lines, line)
			}
		}
	}
	return lines
}

func changeLine(c changed) string {
	line := c.Name + " " + string(c.state)
	switch c.state {
	case event.Starting:
		if c.begun {
			return line // nobody is to start it
		}
		return "" // startProgram follows
	case event.Created:
		return line
	}
	line += fmt.Sprint(" ", c.code)
	if c.final {
		line += " final"
	}
	if c.why != "" {
		line += ": " + c.why
	}
	return line
}
