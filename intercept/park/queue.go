package park

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"syscall"

	"github.com/mdlayher/netlink"
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
	// receiveBuffer holds a burst of SYNs until the reader comes, in bytes.
	receiveBuffer = 16 << 20
)

// Queue numbers are tried from firstQueue on: people write small ones by hand.
const (
	firstQueue = 47100
	queueTries = 1024
)

// queue is a bound NFQUEUE and its socket.
type queue struct {
	conn   *netlink.Conn
	raw    syscall.RawConn
	number uint16

	mu  sync.Mutex // guards buf; verdicts come from any goroutine
	buf []byte

	closeOnce func() error
}

// openQueue binds the first free queue of a network namespace.
func openQueue(netNS int) (*queue, error) {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: netNS})
	if err != nil {
		return nil, &NotSupportedError{Feature: "a netfilter socket", Reason: err}
	}
	q := &queue{conn: conn, closeOnce: sync.OnceValue(conn.Close)}
	if err := q.setUp(); err != nil {
		return nil, errors.Join(err, q.close())
	}
	return q, nil
}

func (q *queue) setUp() error {
	if err := q.probe(); err != nil {
		return err
	}
	// A larger buffer is only better, and the kernel gives what it allows:
	// SO_RCVBUFFORCE needs CAP_NET_ADMIN of the initial user namespace.
	if err := q.conn.SetReadBuffer(receiveBuffer); err != nil && !errors.Is(err, unix.EPERM) {
		return fmt.Errorf("set the receive buffer of the netfilter queue: %w", err)
	}
	// A full buffer is then a dropped SYN, which its client sends again, and not an error.
	if err := q.conn.SetOption(netlink.NoENOBUFS, true); err != nil {
		return fmt.Errorf("set NETLINK_NO_ENOBUFS: %w", err)
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
	raw, err := q.conn.SyscallConn()
	if err != nil {
		return fmt.Errorf("reach the descriptor of the netfilter queue: %w", err)
	}
	q.raw = raw
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
// queue is read: it would take the reader's messages for its answer.
func (q *queue) configure(number uint16, attr uint16, value []byte) error {
	attrs, err := netlink.MarshalAttributes([]netlink.Attribute{{Type: attr, Data: value}})
	if err != nil {
		return err
	}
	_, err = q.conn.Execute(netlink.Message{
		Header: netlink.Header{
			Type:  netlink.HeaderType(unix.NFNL_SUBSYS_QUEUE<<8 | msgConfig),
			Flags: netlink.Request | netlink.Acknowledge,
		},
		Data: append(binary.BigEndian.AppendUint16([]byte{unix.AF_UNSPEC, 0}, number), attrs...),
	})
	return err
}

// receive reads one datagram into buf and returns its length in bytes.
func (q *queue) receive(buf []byte) (int, error) {
	var n int
	var readErr error
	err := q.raw.Read(func(fd uintptr) bool {
		n, readErr = ignoringEINTR(func() (int, error) { return unix.Read(int(fd), buf) })
		return !errors.Is(readErr, unix.EAGAIN)
	})
	return max(n, 0), errors.Join(err, readErr)
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
		if err := q.lockedSend(); err != nil {
			return err
		}
		ids = ids[n:]
	}
	return nil
}

// acceptUpTo accepts every packet with an id up to last.
func (q *queue) acceptUpTo(last uint32) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.buf = appendVerdict(q.buf[:0], msgVerdictBatch, q.number, last, verdict{code: verdictAccept})
	return q.lockedSend()
}

// lockedSend sends buf. The caller holds mu.
func (q *queue) lockedSend() error {
	var sendErr error
	err := q.raw.Write(func(fd uintptr) bool {
		_, sendErr = ignoringEINTR(func() (int, error) { return unix.Write(int(fd), q.buf) })
		return !errors.Is(sendErr, unix.EAGAIN)
	})
	return errors.Join(err, sendErr)
}

// close unbinds the queue and ends receive. Closing again does nothing.
func (q *queue) close() error { return q.closeOnce() }

func ignoringEINTR(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}
