package intercept

import (
	"encoding/json"
	"errors"
	"io/fs"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"upall/intercept/registry"
)

// ledger is a directory with a page for each instance: what is known of it and
// cannot be asked of the kernel. It is for the next process, if this one is
// killed. A page is written before the call that made it true is answered, so
// that no program knows what the next process would not. "" has no pages.
type ledger string

// page is what is written of an instance.
type page struct {
	Metadata  string           `json:"metadata"`
	Running   bool             `json:"running,omitempty"`
	HasHealth bool             `json:"has_health,omitempty"` // which may have been learned after Add
	Awaited   bool             `json:"awaited,omitempty"`
	Over      bool             `json:"over,omitempty"`
	Life      registry.Life    `json:"life"`
	Warned    []string         `json:"warned,omitempty"` // what its service has been warned of
	Told      []uint16         `json:"told,omitempty"`   // ports of which Listening was emitted
	Listens   []listening      `json:"listens,omitempty"`
	Programs  []string         `json:"programs,omitempty"` // that listened last, for the serve probe
	Bound     []boundSocket    `json:"bound,omitempty"`    // sockets whose bind was promised
	Cleared   []uint64         `json:"cleared,omitempty"`  // cookies of sockets whose IPV6_V6ONLY upall has cleared
	Takers    []taker          `json:"takers,omitempty"`
	Places    []boundPlace     `json:"places,omitempty"`
	Remapped  []mapping        `json:"remapped,omitempty"`
	Loopbacks []mapping        `json:"loopbacks,omitempty"`
	UDP       []netip.AddrPort `json:"udp,omitempty"`
}

// listening is a listener that was told.
type listening struct {
	At     netip.AddrPort `json:"at"`
	V6Only bool           `json:"v6only,omitempty"`
	Inode  uint64         `json:"inode"` // of the socket, by which the kernel tells whether it listens
	Probe  bool           `json:"probe,omitempty"`
}

type boundSocket struct {
	Cookie uint64         `json:"cookie"`
	At     netip.AddrPort `json:"at"`
}

type boundPlace struct {
	At     netip.AddrPort `json:"at"`
	V6Only bool           `json:"v6only,omitempty"`
}

type mapping struct {
	At netip.AddrPort `json:"at"`
	To netip.AddrPort `json:"to"`
}

const pageSuffix = ".json"

func (l ledger) file(name string) string {
	return filepath.Join(string(l), url.PathEscape(name)+pageSuffix)
}

// write replaces a page as a whole.
func (l ledger) write(name string, p *page) error {
	data, err := json.Marshal(p)
	if err != nil {
		return err
	}
	file := l.file(name)
	if err := os.WriteFile(file+"~", data, 0o600); err != nil {
		return err
	}
	return os.Rename(file+"~", file)
}

func (l ledger) remove(name string) error {
	if err := os.Remove(l.file(name)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// read reads all pages; those that cannot be read are left out.
func (l ledger) read(pages map[string]page) error {
	var errs []error
	for file, name := range l.all(&errs) {
		data, err := os.ReadFile(file)
		var p page
		if err == nil {
			err = json.Unmarshal(data, &p)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		pages[name] = p
	}
	return errors.Join(errs...)
}

// clear removes the pages of an earlier project.
func (l ledger) clear() error {
	var errs []error
	for file := range l.all(&errs) {
		errs = append(errs, os.Remove(file))
	}
	return errors.Join(errs...)
}

// all yields the files of the pages and the names of their instances.
func (l ledger) all(errs *[]error) map[string]string {
	if l == "" {
		return nil
	}
	entries, err := os.ReadDir(string(l))
	*errs = append(*errs, err)
	files := map[string]string{}
	for _, e := range entries {
		escaped, isPage := strings.CutSuffix(e.Name(), pageSuffix)
		if name, err := url.PathUnescape(escaped); isPage && err == nil {
			files[filepath.Join(string(l), e.Name())] = name
		}
	}
	return files
}

// changed has the page of an instance be written soon, and the pages of those that
// share its addresses, for what is known of them changes together.
func (i *Interceptor) changed(n *instance) {
	if i.ledger == "" || n == nil {
		return
	}
	if _, is := i.stale[n]; is {
		return
	}
	for _, m := range i.instances {
		if m == n || slices.ContainsFunc(m.Addrs, n.has) {
			i.stale[m] = struct{}{}
		}
	}
}

// save writes the pages of what has changed. Nothing is written before Resume: it
// would be less than what is there.
func (i *Interceptor) save() {
	if len(i.stale) == 0 || i.left != nil {
		return
	}
	for n := range i.stale {
		if i.instances[n.Name] != n {
			continue
		}
		if err := i.ledger.write(n.Name, i.page(n)); err != nil && !i.warned["ledger"] {
			i.warned["ledger"] = true
			i.log.Error("write the ledger: if upall is killed now, it must ask the kernel who listens", "error", err)
		}
	}
	clear(i.stale)
}

// record writes what has changed of the instance now: a call is about to be
// answered that depends on it.
func (i *Interceptor) record(n *instance) {
	i.changed(n)
	i.save()
}

// page is what the loop knows of the instance.
func (i *Interceptor) page(n *instance) *page {
	p := &page{
		Metadata: n.Metadata, HasHealth: n.HasHealth, Running: n.isRunning, Awaited: n.isAwaited, Over: n.isOver,
		Life: i.registry.Life(n.Name), Listens: n.listens, Programs: n.programs,
	}
	for key := range i.warned {
		if strings.HasPrefix(key, n.Service+": ") {
			p.Warned = append(p.Warned, key)
		}
	}
	for t := range i.told {
		if t.of == n {
			p.Told = append(p.Told, t.port)
		}
	}
	for cookie, at := range i.bound {
		if slices.Contains(n.Addrs, at.Addr()) {
			p.Bound = append(p.Bound, boundSocket{cookie, at})
			p.Takers = append(p.Takers, i.takers[cookie]...)
		}
	}
	for cookie, of := range i.cleared {
		if of == n {
			p.Cleared = append(p.Cleared, cookie)
		}
	}
	for at, v6Only := range i.places {
		if n.has(at.Addr()) {
			p.Places = append(p.Places, boundPlace{at, v6Only})
		}
	}
	p.Remapped, p.Loopbacks = mappingsOf(n, i.remapped), mappingsOf(n, i.loopbacks)
	for at := range i.udpBound {
		if n.has(at.Addr()) {
			p.UDP = append(p.UDP, at)
		}
	}
	return p
}

func mappingsOf(n *instance, all map[netip.AddrPort]netip.AddrPort) (own []mapping) {
	for at, to := range all {
		if n.has(at.Addr()) {
			own = append(own, mapping{at, to})
		}
	}
	return own
}

// turn puts what a page says into the maps of the loop.
func (i *Interceptor) turn(n *instance, p *page) {
	n.isRunning, n.isAwaited, n.isOver = p.Running, p.Awaited, p.Over
	n.listens, n.programs = p.Listens, p.Programs
	if p.HasHealth && !n.HasHealth {
		n.HasHealth = true
		i.registry.SetHasHealth(n.Name, true)
	}
	for _, key := range p.Warned {
		i.warned[key] = true
	}
	for _, port := range p.Told {
		i.told[toldPort{n, port}] = true
	}
	for _, b := range p.Bound {
		i.bound[b.Cookie] = b.At
	}
	for _, cookie := range p.Cleared {
		i.cleared[cookie] = n
	}
	for _, t := range p.Takers {
		i.takers[t.Of] = append(i.takers[t.Of], t)
	}
	for _, b := range p.Places {
		i.places[b.At] = b.V6Only
	}
	for _, m := range p.Remapped {
		i.remapped[m.At] = m.To
	}
	for _, m := range p.Loopbacks {
		i.loopbacks[m.At] = m.To
	}
	for _, at := range p.UDP {
		i.udpBound[at] = true
	}
}
