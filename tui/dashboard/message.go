package dashboard

import (
	"time"

	"upall/internal/event"
	"upall/supervisor/control"
	"upall/supervisor/record"
	"upall/supervisor/timeline"
)

// Messages of the source.
type (
	// snapshotMsg is the project as it is now.
	snapshotMsg struct{ control.Snapshot }
	// batchMsg is what has happened and what was written since the last one.
	batchMsg struct {
		events []event.Event // but lines of output
		lines  []logLine
		lost   int // lines and events that came too fast
	}
	// statsMsg is a sample of traffic and use.
	statsMsg struct{ control.Stats }
	// recordMsg is the record of the run so far.
	recordMsg struct{ run *record.Run }
	// goneMsg: nothing more comes from the project.
	goneMsg struct{ err error }
)

// Messages of commands. A tag tells which question they answer: who has asked another
// since drops them.
type (
	tickMsg     struct{ now time.Time }
	scanMsg     struct{}
	timelineMsg struct{ line *timeline.Timeline }
	serviceMsg  struct {
		tag  int
		info control.ServiceInfo
		err  error
	}
	// doneMsg: an action has ended.
	doneMsg struct {
		tag  int
		text string // what was done; "" = nothing needs saying
		err  error
	}
	// noticeMsg is a line for the user.
	noticeMsg struct{ text string }
)
