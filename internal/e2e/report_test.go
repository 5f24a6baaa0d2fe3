package e2e

import (
	"fmt"
	"os"
	"strings"

	"upall/internal/event"
)

// reportLimit is how much of each part of a failed run is shown.
const reportLimit = 16 << 10

// report logs what a failed run left.
func (r *run) report() {
	var timeline strings.Builder
	for _, e := range r.all(func(e event.Event) bool { return e.Type != event.Log }) {
		fmt.Fprintln(&timeline, line(e))
	}
	compose, _ := os.ReadFile(r.project.folder + "/compose.yaml") // shown if it is there
	stdout, _ := os.ReadFile(r.stdout)
	stderr, _ := os.ReadFile(r.stderr)
	r.t.Logf("upall %q ended with %v\n--- compose.yaml\n%s--- stderr\n%s--- stdout\n%s--- events\n%s",
		r.command.Args[1:], r.command.ProcessState, tail(string(compose)), tail(string(stderr)), tail(string(stdout)), tail(timeline.String()))
}

func tail(text string) string {
	if len(text) <= reportLimit {
		return text
	}
	return "...\n" + text[len(text)-reportLimit:]
}

// line is an event in one line, with only the fields that are set.
func line(e event.Event) string {
	words := []string{e.Time.Format("15:04:05.000"), string(e.Type)}
	add := func(ok bool, format string, value any) {
		if ok {
			words = append(words, fmt.Sprintf(format, value))
		}
	}
	add(e.Instance != "", "%v", e.Instance)
	add(e.Instance == "" && e.Service != "", "%v", e.Service)
	add(e.State != "", "%v", e.State)
	add(e.Code != 0, "code %v", e.Code)
	add(e.Target != "", "-> %v", e.Target)
	add(e.Port != 0, "port %v", e.Port)
	add(e.Hold != 0, "hold %v", e.Hold)
	add(e.Way != "", "%v", e.Way)
	add(e.End != "", "%v", e.End)
	add(e.Cause != "", "(%v)", e.Cause)
	add(e.Elapsed != 0, "after %v", e.Elapsed)
	add(len(e.Members) != 0, "members %v", e.Members)
	add(e.Message != "", "%q", e.Message)
	return strings.Join(words, " ")
}
