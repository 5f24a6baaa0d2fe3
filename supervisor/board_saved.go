package supervisor

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"time"

	"upall/compose"
	"upall/internal/event"
	"upall/supervisor/control"
	"upall/supervisor/status"
)

// savedBoard is what a later life is to know.
type savedBoard struct {
	View  status.View   `json:"view"`
	Phase control.Phase `json:"phase"`
	Error string        `json:"error,omitempty"`
	Code  int           `json:"code,omitempty"`
	// Traffic is of connections that are over.
	Traffic []savedFlow `json:"traffic,omitempty"`
}

// saveInterval bounds how often the board is saved: a big project has many events
// at its start.
const saveInterval = 50 * time.Millisecond

// saveSoon is called with mu held.
func (b *board) saveSoon() {
	if b.isNew && b.tracker != nil && time.Since(b.savedAt) >= saveInterval {
		b.isNew, b.savedAt = false, time.Now()
		b.save()
	}
}

// save is called with mu held. It must not disturb: without what it writes a later
// life knows less of what has been.
func (b *board) save() {
	v := b.tracker.View()
	v.Holds = nil // the interceptor has them
	data, err := json.Marshal(savedBoard{v, b.fixed.Phase, b.fixed.Error, b.fixed.Code, b.savedTraffic()})
	if err == nil {
		_ = writeFile(b.path, data)
	}
}

// resume has the board know a plan and what an earlier life has saved of it. present
// goes on with what that life has left, and returns what is the case by then; what it
// has to tell waits. Else the board would be saved without what is not read yet, and
// a hold that ends at once would be added after its end. It returns what is known now.
func (b *board) resume(plan *compose.Plan, intercepted bool, present func() ([]event.Event, error)) (was status.View, is []event.Event, err error) {
	defer b.holdBack()()
	b.follow(plan, intercepted)
	if is, err = present(); err != nil {
		return was, nil, err
	}
	return b.restore(is), is, nil
}

// holdBack has events wait until the function that it returns is called.
func (b *board) holdBack() (goOn func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	restored := make(chan struct{})
	b.restored = restored
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.restored = nil
		close(restored)
	}
}

// lockRestored locks mu when events need not wait.
func (b *board) lockRestored() {
	for {
		b.mu.Lock()
		restored := b.restored
		if restored == nil {
			return
		}
		b.mu.Unlock()
		<-restored
	}
}

// restore takes over what an earlier life has saved, if it has, and the holds that
// are among the events of the present. It returns what there is now.
func (b *board) restore(present []event.Event) status.View {
	b.mu.Lock()
	defer b.mu.Unlock()
	var saved savedBoard
	if data, err := os.ReadFile(b.path); err == nil && json.Unmarshal(data, &saved) == nil {
		saved.View.Holds = nil
		b.tracker.Restore(saved.View)
		b.fixed.Phase, b.fixed.Error, b.fixed.Code = saved.Phase, saved.Error, saved.Code
		b.restoreTraffic(saved.Traffic)
	}
	b.tracker.Recall(b.known)
	for _, e := range present {
		if e.Type == event.HoldBegan {
			b.tracker.Add(e)
		}
	}
	return b.tracker.View()
}

// writeFile replaces a file at once, so that a reader never sees half of it.
func writeFile(path string, data []byte) error {
	next := path + ".next"
	if err := os.WriteFile(next, data, 0o600); err != nil {
		return errors.Join(err, os.Remove(next))
	}
	return os.Rename(next, path)
}

// boardFile is where the board is saved, below the private state directory.
func boardFile(dir string) string { return filepath.Join(dir, "board.json") }
