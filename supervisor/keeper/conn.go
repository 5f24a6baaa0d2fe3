package keeper

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"

	"upall/internal/linux"
)

// spareFDs are descriptors that a keeper needs besides those of entries.
const spareFDs = 64

// ErrFull says that the keeper may have no more descriptors (RLIMIT_NOFILE).
var ErrFull = errors.New("the keeper has too many descriptors")

// Conn is a supervisor's end of the connection to its keeper. It may be used by
// several goroutines.
type Conn struct {
	socket *net.UnixConn
	first  *os.File
	gone   chan struct{} // closed when the keeper is
	over   chan struct{} // closed when watch has returned

	mu    sync.Mutex     // so that entries are counted in the order in which they are sent
	sizes map[string]int // descriptors of each entry
	total int            // sum of sizes
	limit int            // of total
}

// Adopt takes over the connection at descriptor 3 and returns all entries, and
// which life of the supervisor this is, from 1. It must come before anything else
// is executed, which would inherit the descriptors, and after signal.Notify, for
// from now on the keeper passes signals on. It blocks until the keeper has given
// everything back.
func Adopt() (conn *Conn, entries []Entry, life int, err error) {
	conn, entries, life, err = adopt(linux.NewFD(socketFD), firstFD)
	if err != nil {
		return nil, nil, 0, fmt.Errorf("adopt what the keeper holds: %w", err)
	}
	return conn, entries, life, nil
}

// adopt takes over fd, and first if the keeper says that there is one.
func adopt(fd *linux.FD, first int) (*Conn, []Entry, int, error) {
	socket, err := connection(fd)
	if err != nil {
		return nil, nil, 0, err
	}
	entries, end, err := receiveAll(socket)
	if err == nil {
		_, err = socket.Write([]byte(verbReady))
	}
	c := &Conn{socket: socket, gone: make(chan struct{}), over: make(chan struct{}), sizes: map[string]int{}}
	if err == nil {
		err = c.count(entries)
	}
	if err != nil {
		for _, e := range entries {
			err = errors.Join(err, closeAll(e.FDs))
		}
		return nil, nil, 0, errors.Join(err, socket.Close())
	}
	if end.hasFirst {
		syscall.CloseOnExec(first)
		c.first = os.NewFile(uintptr(first), "first")
	}
	go c.watch()
	return c, entries, end.life, nil
}

// connection takes over fd if it is a socket of the right kind. If not it is
// somebody else's and stays open.
func connection(fd *linux.FD) (*net.UnixConn, error) {
	for option, want := range map[int]int{syscall.SO_DOMAIN: syscall.AF_UNIX, syscall.SO_TYPE: syscall.SOCK_SEQPACKET} {
		if got, err := syscall.GetsockoptInt(fd.Int(), syscall.SOL_SOCKET, option); err != nil || got != want {
			return nil, fmt.Errorf("descriptor %d is no socket of a keeper", fd.Int())
		}
	}
	syscall.CloseOnExec(fd.Int())
	file := os.NewFile(uintptr(fd.Disown()), "keeper")
	conn, err := net.FileConn(file) // has a duplicate
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, err
	}
	return conn.(*net.UnixConn), nil
}

// count knows the size of what is held already.
func (c *Conn) count(entries []Entry) error {
	var files syscall.Rlimit // the keeper's hard limit is ours, and its soft limit the same
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return os.NewSyscallError("getrlimit", err)
	}
	c.limit = int(min(files.Max, 1<<30)) - spareFDs
	for _, e := range entries {
		c.sizes[e.Name] = len(e.FDs)
		c.total += len(e.FDs)
	}
	return nil
}

// watch reads until the end: the keeper has nothing more to say.
func (c *Conn) watch() {
	defer close(c.over)
	var nothing [1]byte
	for {
		if _, err := c.socket.Read(nothing[:]); errors.Is(err, net.ErrClosed) {
			return
		} else if err != nil {
			close(c.gone)
			return
		}
	}
}

// Put has the keeper hold data and duplicates of fds under the name, instead of
// what it held under it. An error says that it does not; the former entry is kept
// then, unless the keeper is gone (EPIPE).
func (c *Conn) Put(name string, data []byte, fds ...int) error {
	if err := checkEntry(name, data, fds); err != nil {
		return fmt.Errorf("keep %q: %w", name, err)
	}
	message := bytes.Join([][]byte{[]byte(verbPut + name), data}, []byte{0})
	c.mu.Lock()
	defer c.mu.Unlock()
	// While an entry is replaced the keeper has the descriptors of both.
	if c.total+len(fds) > c.limit {
		return fmt.Errorf("keep %q: %w: %d of %d", name, ErrFull, c.total, c.limit)
	}
	if err := c.send(message, fds); err != nil {
		return fmt.Errorf("keep %q: %w", name, err)
	}
	c.total += len(fds) - c.sizes[name]
	c.sizes[name] = len(fds)
	return nil
}

// Drop has the keeper close and forget the entry of that name, if there is one.
func (c *Conn) Drop(name string) error {
	err := checkName(name)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		err = c.send([]byte(verbDrop+name), nil)
	}
	if err != nil {
		return fmt.Errorf("drop %q from the keeper: %w", name, err)
	}
	c.total -= c.sizes[name]
	delete(c.sizes, name)
	return nil
}

// End tells the keeper that the next exit of this process, whatever its kind, is
// meant: then the keeper closes everything and exits with the code, 0 to 255.
func (c *Conn) End(code int) error {
	if code < 0 || code > 255 {
		return fmt.Errorf("end with code %d: not an exit code", code)
	}
	if err := c.send(fmt.Appendf(nil, "%s%d", verbEnd, code), nil); err != nil {
		return fmt.Errorf("tell the keeper of the end: %w", err)
	}
	return nil
}

func (c *Conn) send(message []byte, fds []int) error {
	var rights []byte
	if len(fds) > 0 {
		rights = syscall.UnixRights(fds...)
	}
	_, _, err := c.socket.WriteMsgUnix(message, rights, nil)
	return err
}

// First returns the file that was given to Command, in the first life, nil
// otherwise. It is the caller's from then on.
func (c *Conn) First() *os.File {
	c.mu.Lock()
	defer c.mu.Unlock()
	first := c.first
	c.first = nil
	return first
}

// Gone is closed when the keeper has died: nothing survives any more.
func (c *Conn) Gone() <-chan struct{} { return c.gone }

// Close ends the connection, not what the keeper holds.
func (c *Conn) Close() error {
	err := c.socket.Close()
	<-c.over
	if first := c.First(); first != nil {
		err = errors.Join(err, first.Close())
	}
	return err
}

func checkName(name string) error {
	if name == "" || len(name) > MaxName || strings.IndexByte(name, 0) >= 0 {
		return fmt.Errorf("a name has 1 to %d bytes, none of them 0", MaxName)
	}
	return nil
}

func checkEntry(name string, data []byte, fds []int) error {
	if err := checkName(name); err != nil {
		return err
	}
	if len(data) > MaxData || len(fds) > MaxFDs {
		return fmt.Errorf("%d bytes and %d descriptors, at most %d and %d can be kept", len(data), len(fds), MaxData, MaxFDs)
	}
	return nil
}
