package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"upall/internal/event"
	"upall/supervisor/status"
)

func TestReasonMentions(t *testing.T) {
	t.Parallel()
	r := reason{Mentions: []string{"x"}, status: status.Status{State: event.Exited, Code: 1}}
	if diff := cmp.Diff([]string{"api exited with code 1", "api: x"}, r.lines("api", time.Unix(1_000_000, 0))); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}
