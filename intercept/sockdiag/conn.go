package sockdiag

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"syscall"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// ErrNoListener is returned, wrapped, when nothing listens on an address.
var ErrNoListener = errors.New("no listener")

// bufferLength holds what the kernel sends at most in one datagram of a dump, in bytes.
const bufferLength = 1 << 16

// Conn is a sock_diag socket of one network namespace.
type Conn struct {
	conn *netlink.Conn
	raw  syscall.RawConn

	mu sync.Mutex // one exchange at a time; guards all below
	// buf holds a request, and then its answer.
	buf      []byte
	n        int
	err      error
	sequence uint32
	send     func(fd uintptr) bool // lockedSend and lockedReceive, bound once:
	recv     func(fd uintptr) bool // a new closure a call would be an allocation
}

// Dial opens a Conn. netNS is a descriptor of a network namespace, which is
// not kept; 0 means the caller's own.
func Dial(netNS int) (*Conn, error) {
	conn, err := netlink.Dial(unix.NETLINK_INET_DIAG, &netlink.Config{NetNS: netNS})
	if err != nil {
		return nil, fmt.Errorf("open a sock_diag socket: %w", err)
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("reach the descriptor of a sock_diag socket: %w", err), conn.Close())
	}
	c := &Conn{conn: conn, raw: raw, buf: make([]byte, 0, bufferLength)}
	c.send, c.recv = c.lockedSend, c.lockedReceive
	return c, nil
}

// Close closes the socket. A call that is under way ends with an error.
func (c *Conn) Close() error { return c.conn.Close() }

// AcceptQueue returns how many connections wait for accept(2) on the listener
// that a connect to the address would reach, and its backlog: the kernel
// refuses to queue more than limit+1. The address may be IPv4, v4-mapped or
// IPv6; a listener on a wildcard address, also a dual-stack one, is found by
// any of its addresses. Of an SO_REUSEPORT group one member answers.
//   - ErrNoListener: nothing listens there.
func (c *Conn) AcceptQueue(listener netip.AddrPort) (length, limit int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, err := c.lockedFind(listener)
	if err != nil {
		return 0, 0, fmt.Errorf("ask for the accept queue of %v: %w", listener, err)
	}
	return int(a.receiveQueue), int(a.sendQueue), nil
}

// lockedFind asks for one listener. The caller holds mu.
func (c *Conn) lockedFind(listener netip.AddrPort) (answer, error) {
	// The kernel looks up an IPv4 address among IPv6 sockets too, as it does
	// for a SYN, but not when the request says that it is an IPv6 one.
	addr := listener.Addr().Unmap()
	family := uint8(unix.AF_INET)
	if addr.Is6() {
		family = unix.AF_INET6
	}
	err := c.lockedExchange(request{
		family: family, states: 1 << StateListen,
		local: netip.AddrPortFrom(addr.WithZone(""), listener.Port()),
	})
	if err != nil {
		return answer{}, err
	}
	a, _, ok := nextAnswer(c.buf[:c.n])
	for ok && a.sequence != c.sequence { // left over from a request that failed
		if err := c.lockedRead(); err != nil {
			return answer{}, err
		}
		a, _, ok = nextAnswer(c.buf[:c.n])
	}
	switch {
	case !ok:
		return answer{}, errors.New("the kernel's answer is malformed")
	case a.errno == unix.ENOENT:
		return answer{}, ErrNoListener
	case a.errno != 0:
		return answer{}, a.errno
	case a.socket.State != StateListen:
		return answer{}, ErrNoListener
	default:
		return a, nil
	}
}

// Listeners lists the TCP listeners of the namespace.
func (c *Conn) Listeners() ([]Socket, error) {
	return c.dump("listeners", request{states: 1 << StateListen})
}

// Connecting lists the TCP sockets whose connect is under way: parked ones too.
func (c *Conn) Connecting() ([]Socket, error) {
	return c.dump("connecting sockets", request{states: 1 << StateSynSent})
}

// Receiving lists the UDP sockets that are bound, and take datagrams of anybody.
func (c *Conn) Receiving() ([]Socket, error) {
	return c.dump("UDP sockets", request{states: 1 << stateClose, isUDP: true})
}

// dump asks for the sockets of both families.
func (c *Conn) dump(what string, r request) ([]Socket, error) {
	r.dump = true
	c.mu.Lock()
	defer c.mu.Unlock()
	var sockets []Socket
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		r.family = family
		if err := c.lockedDump(r, func(a answer) { sockets = append(sockets, a.socket) }); err != nil {
			return nil, fmt.Errorf("list the %s: %w", what, err)
		}
	}
	return sockets, nil
}

// lockedDump calls add for each socket that the kernel answers with. The caller
// holds mu.
func (c *Conn) lockedDump(r request, add func(answer)) error {
	if err := c.lockedExchange(r); err != nil {
		return err
	}
	for {
		for a := range answers(c.buf[:c.n]) {
			if a.sequence != c.sequence {
				continue
			}
			// ENOENT: a kernel without IPv6 has no such sockets.
			if a.done || a.errno == unix.ENOENT {
				return nil
			}
			if a.errno != 0 {
				return a.errno
			}
			add(a)
		}
		if err := c.lockedRead(); err != nil {
			return err
		}
	}
}

// lockedExchange sends r and reads the first datagram of the answer into buf.
func (c *Conn) lockedExchange(r request) error {
	c.sequence++
	r.sequence = c.sequence
	c.buf = appendRequest(c.buf[:0], r)
	if err := errors.Join(c.raw.Write(c.send), c.err); err != nil {
		return err
	}
	return c.lockedRead()
}

func (c *Conn) lockedRead() error { return errors.Join(c.raw.Read(c.recv), c.err) }

func (c *Conn) lockedSend(fd uintptr) bool {
	_, c.err = unix.Write(int(fd), c.buf)
	return isFinal(c.err)
}

func (c *Conn) lockedReceive(fd uintptr) bool {
	c.n, c.err = unix.Read(int(fd), c.buf[:cap(c.buf)])
	c.n = max(c.n, 0)
	return isFinal(c.err)
}

// isFinal says whether there is nothing to wait for or to try again. Sending
// and receiving do not block here, so a signal can hardly interrupt them.
func isFinal(err error) bool { return err != unix.EAGAIN && err != unix.EINTR } //nolint:errorlint // a bare errno, on the hot path
