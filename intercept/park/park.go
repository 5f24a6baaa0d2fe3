package park

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Options say where and what to park.
type Options struct {
	// NetNS is a descriptor of the network namespace; 0 means the caller's
	// own. Open does not keep it.
	NetNS int
	// MarkHold is the mark that parks, within MarkMask. The other bits of the
	// mask refuse. Both 0 mean DefaultMarkHold and DefaultMarkMask.
	MarkHold, MarkMask uint32
	// Handle gets each SYN, in order, from the Parker's goroutine. It may give
	// verdicts. It must not block, and must not call Close.
	Handle func(Packet)
	// HandleRefusal, if not nil, gets each answer that comes to this namespace from
	// where there is no listener, as Handle gets SYNs: Src is where nobody listens.
	// Drop has the client send its SYN again, after a second at first.
	HandleRefusal func(Packet)
	// Logger gets what only developers read. Nil means none.
	Logger *slog.Logger
	// DisableNativeQueue and DisableOwner act as if the kernel had neither
	// the nft queue expression nor table owners, for tests of older kernels.
	DisableNativeQueue, DisableOwner bool

	probe bool // install nothing that sees a packet
}

// Parker parks the marked SYNs of one network namespace. Its methods may be
// called from any goroutine.
type Parker struct {
	queue  *queue
	rules  *ruleset
	marks  marks
	handle func(Packet)
	refuse func(Packet) // nil: such packets are not queued
	logger *slog.Logger

	closing atomic.Bool   // the end of the queue is wanted, or known
	once    sync.Once     // guards Close's work
	closed  error         // what Close returns; valid after once
	done    chan struct{} // closed, never sent to, when the reader has ended
}

// Open binds a queue, installs the rules and starts to read. The error is a
// *NotSupportedError when this kernel or this caller cannot park.
func Open(options Options) (*Parker, error) {
	p, err := newParker(options)
	if err != nil {
		return nil, fmt.Errorf("open a parker: %w", err)
	}
	p.queue, err = openQueue(options.NetNS)
	if err != nil {
		return nil, fmt.Errorf("open a parker: %w", err)
	}
	p.rules, err = install(options, p.marks, p.queue)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open a parker: %w", err), p.queue.close())
	}
	p.rules.log(p.logger, p.queue.number)
	go p.read(nil)
	return p, nil
}

// newParker makes a Parker without a queue and rules.
func newParker(options Options) (*Parker, error) {
	if options.Handle == nil {
		return nil, errors.New("no Handle")
	}
	m, err := newMarks(options.MarkHold, options.MarkMask)
	if err != nil {
		return nil, err
	}
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	return &Parker{
		marks: m, handle: options.Handle, refuse: options.HandleRefusal, logger: options.Logger,
		done: make(chan struct{}),
	}, nil
}

// Permitted tells whether the caller may have a netfilter queue, with Open's error
// where not. It does not touch the rules, so it is quick.
func Permitted(options Options) error {
	q, err := openQueue(options.NetNS)
	if err != nil {
		return err
	}
	return q.close()
}

// Probe tells whether Open would work, with its error where not. It makes a queue
// and a table for a moment, but no hook: the end of one would drop what other
// Parkers of this network namespace have parked.
func Probe(options Options) error {
	m, err := newMarks(options.MarkHold, options.MarkMask)
	if err != nil {
		return err
	}
	q, err := openQueue(options.NetNS)
	if err != nil {
		return err
	}
	options.probe = true
	rules, err := install(options, m, q)
	if err == nil {
		err = rules.remove()
	}
	return errors.Join(err, q.close())
}

// MarkFor returns the socket mark (SO_MARK) that parks a connect, for a socket
// whose mark was old. It keeps the bits outside of the mask.
func (p *Parker) MarkFor(old uint32) uint32 { return p.marks.park(old) }

// HasIPv6 says whether connects over IPv6 are parked too.
func (p *Parker) HasIPv6() bool { return len(p.rules.tables) == len(families()) }

// Accept lets SYNs go on their way.
func (p *Parker) Accept(ids ...uint32) error {
	return p.verdicts("accept", verdict{code: verdictAccept}, ids)
}

// Refuse has the clients get ECONNREFUSED at once, whether or not the target
// exists. The packet goes through the rules again with the mark that rejects.
func (p *Parker) Refuse(ids ...uint32) error {
	return p.verdicts("refuse", verdict{code: verdictRepeat, setMark: true, mark: p.marks.refuse}, ids)
}

// Drop forgets SYNs. A client that still waits sends its SYN again, 0.1 to 64
// seconds later, and it is parked again with a new ID.
func (p *Parker) Drop(ids ...uint32) error {
	return p.verdicts("drop", verdict{code: verdictDrop}, ids)
}

func (p *Parker) verdicts(name string, v verdict, ids []uint32) error {
	if p.closing.Load() {
		return fmt.Errorf("%s %d parked connects: %w", name, len(ids), ErrClosed)
	}
	if err := p.queue.verdicts(v, ids); err != nil {
		return fmt.Errorf("%s %d parked connects: %w", name, len(ids), err)
	}
	return nil
}

// Close accepts what still waits, removes the rules and waits for the reader.
// Closing again does nothing and returns the same.
func (p *Parker) Close() error {
	p.once.Do(func() { p.closed = p.close() })
	return p.closed
}

func (p *Parker) close() error {
	// First no new packets, then none that wait, then no hook.
	disarmed := p.rules.disarm()
	var accepted error
	if !p.closing.Swap(true) {
		accepted = p.queue.verdictOnAll(verdict{code: verdictAccept})
	}
	removed := p.rules.remove()
	err := errors.Join(disarmed, accepted, removed, p.queue.close())
	<-p.done
	if err != nil {
		return fmt.Errorf("close a parker: %w", err)
	}
	return nil
}

// read hands on packets, first those that were left, until the queue is closed. It
// ends on an error that it does not know: then the queue is closed too, so that SYNs
// pass.
func (p *Parker) read(left []message) {
	defer close(p.done)
	for _, m := range left {
		p.deliver(m)
	}
	buf := make([]byte, 1<<16) // a datagram holds one packet, of some 250 bytes
	for {
		n, err := p.queue.receive(buf)
		if p.closing.Load() {
			return
		}
		if errors.Is(err, unix.ENOBUFS) {
			p.logger.Warn("the netfilter queue lost SYNs; their clients send them again", "queue", p.queue.number)
			continue
		}
		if err != nil {
			p.closing.Store(true)
			p.logger.Error("parking ended", "queue", p.queue.number, "error", errors.Join(err, p.queue.close()))
			return
		}
		for m := range messages(buf[:n]) {
			p.deliver(m)
		}
	}
}

func (p *Parker) deliver(m message) {
	if m.errno != 0 {
		// ENOENT: the packet of a verdict is gone, with its client's namespace say.
		p.logger.Debug("a verdict had no effect", "queue", p.queue.number, "error", m.errno)
		return
	}
	src, dst, isReset, ok := decodeTCP(m.payload)
	if !ok {
		p.logger.Warn("accepted a packet that is not understood", "queue", p.queue.number, "packet", m.payload)
		if err := p.Accept(m.id); err != nil {
			p.logger.Warn("accept it", "error", err)
		}
		return
	}
	handle := p.handle
	if isReset && p.refuse != nil {
		handle = p.refuse
	}
	handle(Packet{ID: m.id, Src: src, Dst: dst, Mark: m.mark})
}
