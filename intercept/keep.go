package intercept

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"upall/intercept/seccomp"
	"upall/internal/linux"
)

// Keep is where descriptors survive this process.
type Keep = seccomp.Keep

// Kept is an entry that an earlier process has Put.
type Kept struct {
	Name string
	Data []byte
	FDs  []*linux.FD
}

// The entries of an Interceptor, beside those of its seccomp.Agent.
const (
	notifyEntry = "notify/" // and a number: a source. notifyFD, its calls, the network namespace if it is not upall's own
	parkEntry   = "park/"   // and a number: the parker of a space
	earlyEntry  = "early/"  // and the endpoint in the project's terms: the socket of an early listener
	holdsEntry  = "holds"   // the records
)

// notifyData goes with a source's descriptors.
type notifyData struct {
	Metadata string `json:"metadata"`
	PID      int    `json:"pid"`
	HandOver uint64 `json:"hand_over"` // of which it came
}

// parkData goes with a parker's.
type parkData struct {
	Space  linux.NetNSID `json:"space"`
	Parker []byte        `json:"parker"`
}

// left is what an earlier process has left to this one, until Resume.
type left struct {
	agent    *linux.FD
	handOver map[string]*linux.FD
	sources  []leftSource // in the order in which they were handed over
	parkers  map[linux.NetNSID]leftParker
	pages    map[string]page
}

type leftSource struct {
	notifyData
	number uint64
	fds    []*linux.FD
}

type leftParker struct {
	entry string
	data  []byte
	fds   []*linux.FD
}

// adopt takes over those entries whose names are an Interceptor's, and the ledger
// that belongs to them.
func (i *Interceptor) adopt(entries []Kept) error {
	l := &left{handOver: map[string]*linux.FD{}, parkers: map[linux.NetNSID]leftParker{}, pages: map[string]page{}}
	var errs []error
	for _, e := range entries {
		if own, err := i.adoptEntry(l, e); own {
			i.left = l
			errs = append(errs, err)
		}
	}
	if i.left == nil {
		return errors.Join(errs...)
	}
	i.logIf("take over from an earlier process", errors.Join(errs...))
	i.logIf("read the ledger", i.ledger.read(l.pages))
	return nil
}

// adoptEntry tells whether the entry is an Interceptor's. On an error its
// descriptors are closed.
func (i *Interceptor) adoptEntry(l *left, e Kept) (own bool, err error) {
	isOf := func(prefix string) bool { return strings.HasPrefix(e.Name, prefix) }
	switch {
	case e.Name == seccomp.AgentEntry:
		if err = needFDs(e, 1); err == nil {
			l.agent = e.FDs[0]
		}
	case isOf(seccomp.HandOverEntry):
		if err = needFDs(e, 1); err == nil {
			l.handOver[e.Name] = e.FDs[0]
		}
	case e.Name == holdsEntry:
		if err = needFDs(e, 1); err == nil {
			i.records, err = adoptRecords(e.FDs[0])
		}
	case isOf(notifyEntry):
		err = i.adoptSource(l, e)
	case isOf(parkEntry):
		err = i.adoptParker(l, e)
	case isOf(earlyEntry):
		err = i.adoptEarly(e)
	default:
		return false, nil
	}
	if err != nil {
		i.drop(e.Name)
	}
	return true, err
}

// needFDs closes the descriptors of an entry that has too few.
func needFDs(e Kept, n int) error {
	if len(e.FDs) >= n {
		return nil
	}
	return errors.Join(fmt.Errorf("adopt %s: %d descriptors, want %d", e.Name, len(e.FDs), n), closeAll(e.FDs))
}

func closeAll(fds []*linux.FD) error {
	var errs []error
	for _, fd := range fds {
		errs = append(errs, fd.Close())
	}
	return errors.Join(errs...)
}

// numberOf is the number that ends the name of an entry. Those of this process are
// above.
func (i *Interceptor) numberOf(name, prefix string) (uint64, error) {
	n, err := strconv.ParseUint(strings.TrimPrefix(name, prefix), 10, 64)
	i.lastEntry = max(i.lastEntry, n)
	return n, err
}

func (i *Interceptor) adoptSource(l *left, e Kept) error {
	if err := needFDs(e, 2); err != nil {
		return err
	}
	s := leftSource{fds: e.FDs}
	number, err := i.numberOf(e.Name, notifyEntry)
	s.number = number
	if err := errors.Join(err, json.Unmarshal(e.Data, &s.notifyData)); err != nil {
		return errors.Join(fmt.Errorf("adopt %s: %w", e.Name, err), closeAll(e.FDs))
	}
	l.sources = append(l.sources, s)
	return nil
}

func (i *Interceptor) adoptParker(l *left, e Kept) error {
	var data parkData
	_, err := i.numberOf(e.Name, parkEntry)
	if err := errors.Join(err, json.Unmarshal(e.Data, &data)); err != nil {
		return errors.Join(fmt.Errorf("adopt %s: %w", e.Name, err), closeAll(e.FDs))
	}
	l.parkers[data.Space] = leftParker{e.Name, data.Parker, e.FDs}
	return nil
}

// adoptEarly goes on with an early listener. Where it listens is all there is to
// know of it.
func (i *Interceptor) adoptEarly(e Kept) error {
	if err := needFDs(e, 1); err != nil {
		return err
	}
	at, err := netip.ParseAddrPort(strings.TrimPrefix(e.Name, earlyEntry))
	if err != nil {
		return errors.Join(fmt.Errorf("adopt %s: %w", e.Name, err), closeAll(e.FDs))
	}
	sock, err := linux.NewSocket(e.FDs[0])
	if err != nil {
		return fmt.Errorf("adopt %s: %w", e.Name, err)
	}
	if actual, err := sock.LocalAddr(); err == nil && actual != at {
		i.remapped[at] = actual
	}
	i.early[at] = &earlyListener{sock}
	return nil
}

// put keeps duplicates of descriptors over the end of this process.
func (i *Interceptor) put(name string, data []byte, fds ...int) {
	if i.keeper == nil {
		return
	}
	if err := i.keeper.Put(name, data, fds...); err != nil {
		i.log.Error("keep descriptors", "entry", name, "error", err)
	}
}

// drop takes a put back. Without one it does nothing.
func (i *Interceptor) drop(name string) {
	if i.keeper == nil {
		return
	}
	if err := i.keeper.Drop(name); err != nil {
		i.log.Error("keep a descriptor no more", "entry", name, "error", err)
	}
}

func (i *Interceptor) nextNumber() uint64 {
	i.lastEntry++
	return i.lastEntry
}

func (s *source) entry() string { return notifyEntry + strconv.FormatUint(s.number, 10) }

func earlyName(at netip.AddrPort) string { return earlyEntry + at.String() }
