package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
)

// keptState is the data of StateEntry; its descriptors are the lock and the
// socket that holds the range.
type keptState struct {
	Dir    string       `json:"dir"`
	Prefix netip.Prefix `json:"prefix"`
}

// Keep puts lock and range into the keeper, so that both last as long as that
// does.
func (s *State) Keep(keep Keep) error {
	data, err := json.Marshal(keptState{Dir: s.dir, Prefix: s.Prefix})
	if err != nil {
		return err
	}
	if err := keep.Put(StateEntry, data, int(s.lock.Fd()), int(s.name.Fd())); err != nil {
		return fmt.Errorf("keep the state directory %s: %w", s.dir, err)
	}
	s.keep = keep
	return nil
}

// AdoptState goes on with the State of an earlier life of the supervisor, which
// keep has. What was kept belongs to AdoptState, whatever it returns.
func AdoptState(keep Keep, k Kept) (*State, error) {
	var was keptState
	err := json.Unmarshal(k.Data, &was)
	switch {
	case err != nil:
	case len(k.FDs) != 2:
		err = fmt.Errorf("%d descriptors, not 2", len(k.FDs))
	case was.Dir == "" || !was.Prefix.IsValid():
		err = errors.New("no directory or no range")
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("adopt the state directory: %w", err), k.close())
	}
	return &State{
		dir: was.Dir, Prefix: was.Prefix, keep: keep,
		lock: os.NewFile(uintptr(k.FDs[0].Disown()), was.Dir+".lock"),
		name: os.NewFile(uintptr(k.FDs[1].Disown()), "range"),
	}, nil
}
