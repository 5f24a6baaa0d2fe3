package park

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// Configuration of a queue, of linux/netfilter/nfnetlink_queue.h.
const (
	configCommand = 1 // NFQA_CFG_CMD: u8 command, u8 pad, be16 protocol family
	configParams  = 2 // NFQA_CFG_PARAMS: be32 copy range, u8 copy mode
	configMaxLen  = 3 // NFQA_CFG_QUEUE_MAXLEN: be32

	commandBind   = 1 // NFQNL_CFG_CMD_BIND
	commandUnbind = 2 // NFQNL_CFG_CMD_UNBIND
	// commandProbe does nothing since Linux 3.8 (NFQNL_CFG_CMD_PF_BIND), but
	// the kernel checks the module and the capability before it answers.
	commandProbe = 3

	copyPacket = 2 // NFQNL_COPY_PACKET

	// copyRange is enough for IPv6, some extension headers and the ports, in bytes.
	copyRange = 128
	// queueLength is how many SYNs may wait; the kernel's default is 1,024.
	queueLength = 1 << 16
)

// Queue numbers are tried from firstQueue on: people write small ones by hand.
const (
	firstQueue = 47100
	queueTries = 1024
)

// queue is a bound NFQUEUE and its socket.
type queue struct {
	*socket
	number uint16

	mu  sync.Mutex // guards buf; verdicts come from any goroutine
	buf []byte

	closeOnce func() error
}

func newQueue(s *socket, number uint16) *queue {
	q := &queue{socket: s, number: number}
	q.closeOnce = sync.OnceValue(q.end)
	return q
}

// openQueue binds the first free queue of a network namespace.
func openQueue(netNS int) (*queue, error) {
	s, err := dial(netNS)
	if err != nil {
		return nil, err
	}
	q := newQueue(s, 0)
	if err := q.setUp(); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return q, nil
}

func (q *queue) setUp() error {
	if err := q.probe(); err != nil {
		return err
	}
	if err := q.socket.setUp(); err != nil {
		return err
	}
	if err := q.bindFree(); err != nil {
		return err
	}
	params := append(binary.BigEndian.AppendUint32(nil, copyRange), copyPacket)
	if err := q.configure(q.number, configParams, params); err != nil {
		return fmt.Errorf("set the copy range of netfilter queue %d: %w", q.number, err)
	}
	if err := q.configure(q.number, configMaxLen, binary.BigEndian.AppendUint32(nil, queueLength)); err != nil {
		return fmt.Errorf("set the length of netfilter queue %d: %w", q.number, err)
	}
	return nil
}

// probe asks whether this caller may use netfilter queues here.
func (q *queue) probe() error {
	err := q.command(0, commandProbe)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EPERM):
		return &NotSupportedError{Feature: "CAP_NET_ADMIN in the network namespace", Reason: err}
	default: // EINVAL: no such nfnetlink subsystem
		return &NotSupportedError{Feature: "the kernel module nfnetlink_queue", Reason: err}
	}
}

func (q *queue) bindFree() error {
	for i := range queueTries {
		number := uint16(firstQueue + i)
		owned, err := q.bind(number)
		if err != nil {
			return err
		}
		if !owned {
			q.number = number
			return nil
		}
	}
	return fmt.Errorf("bind a netfilter queue: all of %d to %d are in use", firstQueue, firstQueue+queueTries-1)
}

// bind takes a queue, or says that some socket owns it.
func (q *queue) bind(number uint16) (owned bool, err error) {
	err = q.command(number, commandBind)
	// EPERM: another socket's; the probe has shown that it is not the capability.
	if errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EPERM) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("bind netfilter queue %d: %w", number, err)
	}
	return false, nil
}

// isOwned says whether another socket than q's reads a queue.
func (q *queue) isOwned(number uint16) (bool, error) {
	if number == q.number {
		return false, nil
	}
	owned, err := q.bind(number)
	if err != nil || owned {
		return owned, err
	}
	if err := q.command(number, commandUnbind); err != nil {
		return false, fmt.Errorf("unbind netfilter queue %d: %w", number, err)
	}
	return false, nil
}

func (q *queue) command(number uint16, command uint8) error {
	return q.configure(number, configCommand, []byte{command, 0, 0, 0})
}

// configure sets one attribute of a queue. It must not be called once the
// queue is read: the reader would take its answer.
func (q *queue) configure(number uint16, attr uint16, value []byte) error {
	return q.ask(appendConfig(nil, number, attr, value))
}

// verdicts gives v on each packet. The kernel answers only what it refuses,
// and that goes to the reader.
func (q *queue) verdicts(v verdict, ids []uint32) error {
	const perSend = 1024 // 40 KB: well below a socket's send buffer of 208 KB
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(ids) > 0 {
		n := min(len(ids), perSend)
		q.buf = q.buf[:0]
		for _, id := range ids[:n] {
			q.buf = appendVerdict(q.buf, msgVerdict, q.number, id, v)
		}
		if err := q.send(q.buf); err != nil {
			return err
		}
		ids = ids[n:]
	}
	return nil
}

// allIDs are up to which packets verdicts on all are given. The kernel takes packets
// in their order up to an id, and compares ids modulo 2^32: each of these is for one
// half of all ids, and the two halves may be in the queue in either order.
var allIDs = []uint32{1<<32 - 1, 1<<31 - 1, 1<<32 - 1}

// verdictOnAll gives v on each packet that waits, whether or not it was received.
// Where a part of allIDs finds none, the kernel answers ENOENT.
func (q *queue) verdictOnAll(v verdict) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.buf = q.buf[:0]
	for _, last := range allIDs {
		q.buf = appendVerdict(q.buf, msgVerdictBatch, q.number, last, v)
	}
	return q.send(q.buf)
}

// requeue has the kernel queue all that waits once more, and returns it. Nobody may
// have begun to receive. What an earlier process has received the kernel would not
// tell again; what it has not is in the socket with ids that are over then.
func (q *queue) requeue() ([]message, error) {
	err := q.pending(func(message) error { return nil })
	if err != nil {
		return nil, err
	}
	if err := q.verdictOnAll(verdict{code: verdictRepeat}); err != nil {
		return nil, err
	}
	var all []message
	err = q.pending(func(m message) error {
		switch {
		case m.errno == 0:
			m.payload = slices.Clone(m.payload)
			all = append(all, m)
		case !errors.Is(m.errno, unix.ENOENT):
			return m.errno // the queue is not bound any more, or another's
		}
		return nil
	})
	return all, err
}

// close unbinds the queue and ends receive. Closing again does nothing.
func (q *queue) close() error { return q.closeOnce() }

// end says that nobody reads any more, for others may hold the socket. It must not
// wait for an answer: the reader would take it.
func (q *queue) end() error {
	unbind := appendConfig(nil, q.number, configCommand, []byte{commandUnbind, 0, 0, 0})
	return errors.Join(q.send(unbind), q.socket.close())
}
