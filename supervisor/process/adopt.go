package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"syscall"

	"upall/internal/linux"
)

// Keep is where descriptors survive this process: the project's keeper. A nil
// Keep means that nothing does.
type Keep interface {
	Put(name string, data []byte, fds ...int) error // fds stay the caller's
	Drop(name string) error
}

// Kept is what a Keep has had back from an earlier life of the supervisor. Who
// takes it owns its descriptors.
type Kept struct {
	Name string
	Data []byte
	FDs  []*linux.FD
}

// close closes what nobody has taken over.
func (k Kept) close() error {
	var errs []error
	for _, fd := range k.FDs {
		errs = append(errs, fd.Close())
	}
	return errors.Join(errs...)
}

// Names of what is kept.
const (
	ProgramEntry = "program/" // and the instance's name: a Program
	StateEntry   = "state"    // the State
)

// Identity says which program it is.
type Identity struct {
	Service  string `json:"service"`
	Instance string `json:"instance"`
	Run      int    `json:"run"` // as the caller counts the instance's runs
}

// IdentityOf returns whose program was kept, so that its output can be told
// apart before it is adopted.
func IdentityOf(k Kept) (id Identity, err error) {
	if err := json.Unmarshal(k.Data, &id); err != nil {
		return id, fmt.Errorf("read what was kept as %q: %w", k.Name, err)
	}
	return id, nil
}

// shelf puts programs into the keeper, one for an instance: a later run takes the
// place of the one before.
type shelf struct {
	keep Keep
	log  *slog.Logger
	mu   sync.Mutex
	last map[string]*Program // by instance
}

func newShelf(keep Keep, log *slog.Logger) *shelf {
	return &shelf{keep: keep, log: log, last: map[string]*Program{}}
}

// put is no reason not to start a program: without a keeper, or with one that has
// died, it ends with this process.
func (s *shelf) put(p *Program, fds []*linux.FD) {
	if s == nil || s.keep == nil {
		return
	}
	numbers := make([]int, len(fds))
	for n, fd := range fds {
		numbers[n] = fd.Int()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last[p.id.Instance] = p
	data, err := json.Marshal(p.id)
	if err == nil {
		err = s.keep.Put(ProgramEntry+p.id.Instance, data, numbers...)
	}
	if err != nil {
		s.log.Warn("keep", "instance", p.id.Instance, "error", err)
	}
}

// adopted notes that the keeper has the program already.
func (s *shelf) adopted(p *Program) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last[p.id.Instance] = p
}

// drop takes the program out, unless a later run of its instance is there.
func (s *shelf) drop(p *Program) error {
	if s == nil || s.keep == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last[p.id.Instance] != p {
		return nil
	}
	delete(s.last, p.id.Instance)
	return forget(s.keep, ProgramEntry+p.id.Instance)
}

// forget takes an entry out of the keeper. With one that has died it is gone.
func forget(keep Keep, name string) error {
	err := keep.Drop(name)
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
		return nil
	}
	return err
}

// Adopt goes on with a program that an earlier supervisor has started. began is
// false, and the program nil, if that one was ended before the program began:
// then it is to be started anew. A program that has ended meanwhile is adopted
// too: Wait returns its exit code. What was kept belongs to Adopt, whatever it
// returns.
func (r *Runtime) Adopt(k Kept, output Output) (p *Program, began bool, err error) {
	id, err := IdentityOf(k)
	if err == nil && len(k.FDs) != keptCount {
		err = fmt.Errorf("%q has %d descriptors, not %d", k.Name, len(k.FDs), keptCount)
	}
	if err != nil {
		return nil, false, errors.Join(fmt.Errorf("adopt a program: %w", err), k.close())
	}
	p = &Program{id: id, shelf: r.shelf}
	p.shelf.adopted(p)
	if err := p.attach(k.FDs); err != nil {
		return nil, false, errors.Join(fmt.Errorf("adopt %s: %w", id.Instance, err), p.Close())
	}
	if !p.begin(output) {
		return nil, false, errors.Join(p.release(), p.Close())
	}
	return p, true, nil
}
