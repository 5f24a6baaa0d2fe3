package supervisor

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"upall/supervisor/control"
)

// Files in the private state directory, for the next life of the supervisor.
const (
	firstSpec = "spec.json"
	stateFile = "state.json"
)

// savedState is what the loop knows beside the Spec.
type savedState struct {
	// Spec is the file of the Spec that the machine has by now.
	Spec     string            `json:"spec"`
	Machine  json.RawMessage   `json:"machine"`
	Metadata map[string]string `json:"metadata"`
	IsUp     bool              `json:"is_up,omitempty"`
	WasUp    bool              `json:"was_up,omitempty"`
	Failed   string            `json:"failed,omitempty"`
	Ending   bool              `json:"ending,omitempty"`
}

// saveSpec is called before anything of the Spec is done. It is the project's with
// the next saveState after s.specFile is set, but for the first, which is at once.
func (s *supervisor) saveSpec(spec *control.Spec) (file string, err error) {
	file = firstSpec
	if s.spec != nil {
		file = "spec-" + spec.ID + ".json"
	}
	data, err := json.Marshal(spec)
	if err == nil {
		err = writeFile(s.statePath(file), data)
	}
	if err != nil {
		return "", fmt.Errorf("keep the project for after a crash: %w", err)
	}
	return file, nil
}

// saveState keeps what the loop has decided. Where that fails the project goes on
// without: a crash may then repeat what was done.
func (s *supervisor) saveState() {
	if s.leaving != "" { // the engine's ends of containers are nobody's will
		return
	}
	machine, err := s.machine.save()
	saved := savedState{Spec: s.specFile, Machine: machine, Metadata: s.metadata, IsUp: s.isUp, WasUp: s.wasUp, Ending: s.ending}
	if s.failed != nil {
		saved.Failed = s.failed.Error()
	}
	var data []byte
	if err == nil {
		data, err = json.Marshal(saved)
	}
	if err == nil {
		err = writeFile(s.statePath(stateFile), data)
	}
	if err != nil && !s.saidUnsaved {
		s.saidUnsaved = true
		s.warn("", fmt.Sprintf("what happens is not kept for after a crash of upall: %v", err))
	}
}

// loadSpec returns nil if no project was given so far.
func (s *supervisor) loadSpec() (*control.Spec, error) { return readSpec(s.statePath(s.specFile)) }

// readSpec returns nil if there is none.
func readSpec(path string) (*control.Spec, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	spec := &control.Spec{}
	if err := json.Unmarshal(data, spec); err != nil {
		return nil, fmt.Errorf("read %s: %w", filepath.Base(path), err)
	}
	return spec, nil
}

// loadState returns what the life before has saved last, nothing if it has not come
// to that.
func (s *supervisor) loadState() (saved savedState, err error) {
	saved, s.savedAt, err = readState(s.state.Private())
	s.specFile = saved.Spec
	return saved, err
}

// readState returns what was saved last in a private state directory, and when.
func readState(private string) (saved savedState, at time.Time, err error) {
	path := filepath.Join(private, stateFile)
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return savedState{Spec: firstSpec}, at, nil
	case err != nil:
		return saved, at, err
	}
	if stat, err := os.Stat(path); err == nil {
		at = stat.ModTime()
	}
	if err := json.Unmarshal(data, &saved); err != nil {
		return saved, at, fmt.Errorf("read %s: %w", stateFile, err)
	}
	return saved, at, nil
}

// restoreState gives the machine and the loop back what they knew.
func (s *supervisor) restoreState(saved savedState) error {
	s.isUp, s.wasUp, s.ending = saved.IsUp, saved.WasUp, saved.Ending
	if saved.Failed != "" {
		s.failed = errors.New(saved.Failed)
	}
	if saved.Metadata != nil {
		s.metadata = saved.Metadata
	}
	if saved.Machine == nil {
		return nil
	}
	return s.machine.restore(saved.Machine)
}

// keeperGone goes on without a keeper: a crash from now on is the end of what runs.
func (s *supervisor) keeperGone() {
	s.warn("", fmt.Sprintf("upall's keeper (pid %d) has died: the project goes on, but ends if upall's supervisor (pid %d) dies too", s.KeeperPID, os.Getpid()))
	if err := s.state.Name(os.Getpid()); err != nil {
		s.Logger.Error("name the supervisor as who has the project up", "error", err)
	}
	s.board.lostKeeper()
}
