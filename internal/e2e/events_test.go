package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"syscall"

	"upall/internal/event"
)

// record is the events file of a run, read while upall writes it.
type record struct {
	file *os.File
	bell *os.File // an inotify descriptor that is readable when the file grew

	mu      sync.Mutex // guards what follows
	partial []byte     // the start of a line whose end is not written yet
	events  []event.Event
	err     error         // the first line that is no event
	changed chan struct{} // closed at the next event; then replaced
}

// follow opens an existing file and reads it in a goroutine of its own, which
// ends with close.
func follow(path string) (*record, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	fd, err := syscall.InotifyInit1(syscall.IN_CLOEXEC | syscall.IN_NONBLOCK)
	if err != nil {
		return nil, errors.Join(os.NewSyscallError("inotify_init1", err), file.Close())
	}
	r := &record{file: file, bell: os.NewFile(uintptr(fd), "inotify"), changed: make(chan struct{})}
	if _, err := syscall.InotifyAddWatch(fd, path, syscall.IN_MODIFY); err != nil {
		return nil, errors.Join(os.NewSyscallError("inotify_add_watch", err), r.close())
	}
	go r.run()
	return r, nil
}

func (r *record) run() {
	buffer := make([]byte, 4096)
	for {
		r.read()
		if _, err := r.bell.Read(buffer); err != nil {
			return // closed
		}
	}
}

// close ends the reading. What was read stays.
func (r *record) close() error { return errors.Join(r.bell.Close(), r.file.Close()) }

// read takes in what the file holds by now.
func (r *record) read() {
	r.mu.Lock()
	defer r.mu.Unlock()
	content, err := io.ReadAll(r.file)
	if err != nil {
		return // closed
	}
	r.partial = append(r.partial, content...)
	for {
		line, rest, complete := bytes.Cut(r.partial, []byte("\n"))
		if !complete {
			return
		}
		r.partial = slices.Clone(rest)
		var e event.Event
		if err := json.Unmarshal(line, &e); err != nil && r.err == nil {
			r.err = fmt.Errorf("event %q: %w", line, err)
		}
		r.events = append(r.events, e)
		close(r.changed)
		r.changed = make(chan struct{})
	}
}

// since returns the events from number n on, and a channel that is closed
// when there are more.
func (r *record) since(n int) ([]event.Event, <-chan struct{}, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events[n:]), r.changed, r.err
}

// match is what a test looks for among the events.
type match func(event.Event) bool

func holdBegan(client, target string) match {
	return func(e event.Event) bool {
		return e.Type == event.HoldBegan && e.Service == client && e.Target == target
	}
}

func holdEnded(client, target string) match {
	return func(e event.Event) bool {
		return e.Type == event.HoldEnded && e.Service == client && e.Target == target
	}
}

// exited is the end of a service's process; it does not say with what code.
func exited(service string) match {
	return func(e event.Event) bool {
		return e.Type == event.StateChanged && e.Service == service && (e.State == event.Exited || e.State == event.Failed)
	}
}

func ofType(t event.Type) match { return func(e event.Event) bool { return e.Type == t } }

// exitedAmong is the end of one of services.
func exitedAmong(services ...string) match {
	return func(e event.Event) bool {
		return slices.Contains(services, e.Service) && exited(e.Service)(e)
	}
}

// projectIs is a state that the project as a whole enters.
func projectIs(state event.State) match {
	return func(e event.Event) bool { return e.Type == event.ProjectChanged && e.State == state }
}
