package tui

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"upall/internal/event"
	"upall/internal/testenv"
)

func withWay(e event.Event, way event.Way) event.Event {
	e.Way = way
	return e
}

func TestSummary(t *testing.T) {
	const long = "a-service-with-a-rather-long-name"
	tests := map[string][]event.Event{
		"short": {
			began(1, "web-1", "api", 8080),
			began(2, "api-1", "db", 5432), began(3, "api-1", "db", 5432),
			ended(2, "api-1", "db", 5432, event.Released, "", 3024*time.Millisecond),
			ended(3, "api-1", "db", 5432, event.Released, "", 12*time.Millisecond),
			ended(4, "api-1", "db", 5432, event.Canceled, "", time.Second),
			withWay(ended(5, "api-1", "db", 80, event.Refused, "", time.Second), event.Kept),
			withWay(ended(6, "web-1", "api", 8080, event.Expired, "", 2*time.Minute), event.Early),
		},
		"long": {
			withWay(ended(1, long+"-1", long, 65535, event.Canceled, "", 59*time.Minute+59*time.Second), event.Early),
			withWay(ended(2, long+"-2", "db", 5432, event.Released, "", time.Second), event.Early),
		},
	}
	for name, events := range tests {
		t.Run(name, func(t *testing.T) {
			got := summaryOf(events)
			for line := range strings.Lines(got) {
				line = strings.TrimSuffix(line, "\n")
				if utf8.RuneCountInString(line) > summaryWidth || strings.TrimRight(line, " ") != line {
					t.Errorf("too wide, or spaces at the end: %q", line)
				}
			}
			testenv.Golden(t, "summary-"+name, got)
		})
	}
	if got := summaryOf(aRun()[:2]); got != "" {
		t.Errorf("without holds: %q", got)
	}
}

func summaryOf(events []event.Event) string {
	s := NewSummary()
	for _, e := range events {
		s.Add(e)
	}
	return s.String()
}
