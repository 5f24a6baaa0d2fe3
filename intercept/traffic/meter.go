package traffic

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"upall/intercept/sockdiag"
)

// Between looks at which sockets have ended: minDrain while some do, and up to maxDrain
// while none does. What an ordinary user's queue takes is enough for some thousand
// connections a second then, and for some hundred to begin with.
const (
	minDrain = 20 * time.Millisecond
	maxDrain = 320 * time.Millisecond
)

// sweepInterval is between lists of open sockets that nobody asks for: so that what
// has lasted is known when its namespace is gone.
const sweepInterval = 10 * time.Second

// Meter counts what goes over connections. Make one with New.
type Meter struct {
	log  *slog.Logger
	warn func(message string)
	quit chan struct{} // closed by Close
	work sync.WaitGroup

	reading sync.Mutex // one goroutine at a time reads from watches; taken before mu
	sockets []sockdiag.Traffic
	all     []*watch

	missed sync.Once // said that

	mu       sync.Mutex // guards what follows, but Know, IsOnly and Claim of the Book
	book     *Book
	watches  map[Space]*watch
	isClosed bool
}

// watch is what is open in a namespace.
type watch struct {
	id      Space
	list    *sockdiag.Conn
	watcher *sockdiag.Watcher
}

// New returns a Meter that has nothing to count yet. warn is called from any
// goroutine, at most once; it must not block.
func New(logger *slog.Logger, warn func(message string)) *Meter {
	m := &Meter{log: logger, warn: warn, quit: make(chan struct{}), book: NewBook(), watches: map[Space]*watch{}}
	m.work.Go(m.readNowAndThen)
	return m
}

// Enter begins to count in a network namespace, if that has not begun: netNS is as
// for sockdiag.Dial. Instance and addrs are as for Book.Enter. It makes some system
// calls, and waits for nobody.
func (m *Meter) Enter(id Space, netNS int, instance string, addrs []netip.Addr) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.isClosed {
		return nil
	}
	m.book.Enter(id, instance, addrs)
	if m.watches[id] != nil {
		return nil
	}
	watcher, err := sockdiag.Watch(netNS)
	if err != nil {
		return fmt.Errorf("count bytes: %w", err)
	}
	list, err := sockdiag.Dial(netNS)
	if err != nil {
		return fmt.Errorf("count bytes: %w", errors.Join(err, watcher.Close()))
	}
	m.watches[id] = &watch{id, list, watcher}
	return nil
}

// Leave ends the counting in a network namespace, which goes on beside until all
// that the kernel has told is read.
func (m *Meter) Leave(id Space) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if w := m.watches[id]; w != nil {
		delete(m.watches, id)
		m.work.Go(func() { m.leave(w) })
	}
}

// Know says that connections to an endpoint are of interest.
func (m *Meter) Know(at netip.AddrPort) { m.book.Know(at) }

// IsOnly is as for the Book.
func (m *Meter) IsOnly(id Space, c Claim) bool { return m.book.IsOnly(id, c) }

// Claim says whose a socket is that is about to connect.
func (m *Meter) Claim(id Space, cookie uint64, c Claim) { m.book.Claim(id, cookie, c) }

// Flows returns what was counted so far.
func (m *Meter) Flows() []Flow {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.book.Flows()
}

// Close ends the counting.
func (m *Meter) Close() {
	m.mu.Lock()
	m.isClosed = true
	var all []Space
	for id := range m.watches {
		all = append(all, id)
	}
	m.mu.Unlock()
	close(m.quit)
	for _, id := range all {
		m.Leave(id)
	}
	m.work.Wait()
}

// leave takes what the kernel has told already, and closes what is open in a
// namespace, which may be entered again meanwhile.
func (m *Meter) leave(w *watch) {
	m.reading.Lock()
	defer m.reading.Unlock()
	m.drain(w)
	m.list(w)
	m.mu.Lock()
	if m.watches[w.id] == nil {
		m.book.Leave(w.id, time.Now())
	}
	m.mu.Unlock()
	if err := errors.Join(w.watcher.Close(), w.list.Close()); err != nil {
		m.log.Warn("close sock_diag sockets", "error", err)
	}
}

// drain takes which sockets have ended, and returns how many. It is called with reading
// held.
func (m *Meter) drain(w *watch) (ended int) {
	m.mu.Lock()
	now := time.Now()
	err := w.watcher.Drain(func(t sockdiag.Traffic) {
		m.book.Ended(w.id, t, now)
		ended++
	})
	m.mu.Unlock()
	switch {
	case errors.Is(err, sockdiag.ErrMissed):
		m.missed.Do(func() {
			m.warn("connections end faster than the kernel can tell of them: the bytes of some are not in `upall stats`")
		})
	case err != nil:
		m.log.Error("see which sockets have ended", "error", err)
	}
	return ended
}

func (m *Meter) readNowAndThen() {
	pause := minDrain
	drain, sweep := time.NewTimer(pause), time.NewTicker(sweepInterval)
	defer drain.Stop()
	defer sweep.Stop()
	for {
		select {
		case <-drain.C:
			pause = min(2*pause, maxDrain)
			m.read(func(w *watch) {
				if m.drain(w) > 0 {
					pause = minDrain
				}
			})
			drain.Reset(pause)
		case <-sweep.C:
			m.Sweep()
		case <-m.quit:
			return
		}
	}
}

// read calls a function for each namespace that is entered.
func (m *Meter) read(from func(*watch)) {
	m.reading.Lock()
	defer m.reading.Unlock()
	m.mu.Lock()
	m.all = m.all[:0]
	for _, w := range m.watches {
		m.all = append(m.all, w)
	}
	m.mu.Unlock()
	for _, w := range m.all { // Leave may take one, and waits to close it
		from(w)
	}
}

// Sweep takes which sockets have ended, and lists the open ones of each namespace, so
// that Flows knows of them.
func (m *Meter) Sweep() {
	m.read(func(w *watch) {
		m.drain(w)
		m.list(w)
	})
	m.mu.Lock()
	defer m.mu.Unlock()
	m.book.Swept(time.Now())
}

// list lists the open sockets of a namespace. It is called with reading held.
func (m *Meter) list(w *watch) {
	var err error
	if m.sockets, err = w.list.Traffic(m.sockets[:0]); err != nil {
		m.log.Warn("list open sockets", "error", err)
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.book.Listed(w.id, m.sockets, time.Now())
}
