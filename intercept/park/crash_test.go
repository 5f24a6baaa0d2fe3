package park

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"upall/internal/linux"
)

// crash ends the lab's Parker as a kill does: nothing is undone, and what is left
// are the duplicates that a keeper holds.
func (l *lab) crash(t testing.TB) (data []byte, kept []*linux.FD) {
	t.Helper()
	p := l.parker
	data, fds := p.Descriptors()
	kept = duplicates(t, fds...)
	p.once.Do(func() { // Close has nothing to do any more
		p.closing.Store(true)
		if err := errors.Join(p.queue.socket.close(), p.rules.socket.close()); err != nil {
			t.Fatal(err)
		}
		<-p.done
	})
	return data, kept
}

// duplicates are closed with the test, as a keeper's are with its project.
func duplicates(t testing.TB, fds ...int) (kept []*linux.FD) {
	t.Helper()
	for _, fd := range fds {
		n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		kept = append(kept, closedWith(t, linux.NewFD(n)))
	}
	return kept
}

func closedWith(t testing.TB, fd *linux.FD) *linux.FD {
	t.Cleanup(func() { _ = fd.Close() })
	return fd
}

// adopt goes on as the next process. The keeper keeps its own duplicates.
func (l *lab) adopt(t testing.TB, options Options, data []byte, kept []*linux.FD) {
	t.Helper()
	options.Handle = func(p Packet) { l.packets <- p }
	var fds []int
	for _, fd := range kept {
		fds = append(fds, fd.Int())
	}
	parker, err := Adopt(options, data, duplicates(t, fds...))
	if err != nil {
		t.Fatal(err)
	}
	l.parker = parker
	t.Cleanup(func() {
		if err := parker.Close(); err != nil {
			t.Error(err)
		}
	})
}

// park dials and waits until the Parker, if any reads, has seen the SYNs.
func (l *lab) park(t testing.TB, k kind, to netip.AddrPort, count int, isRead bool) []*client {
	t.Helper()
	clients := make([]*client, count)
	for i := range clients {
		clients[i] = l.dialOnly(t, k, to)
		if isRead {
			l.packet(t)
		}
	}
	return clients
}

// seen collects packets until there is one of each client. Each must come once.
func (l *lab) seen(t testing.TB, clients []*client) map[uint16]uint32 {
	t.Helper()
	ids := map[uint16]uint32{}
	for range clients {
		p := l.packet(t)
		if _, twice := ids[p.Src.Port()]; twice {
			t.Fatalf("%v came twice", p.Src)
		}
		ids[p.Src.Port()] = p.ID
	}
	for _, c := range clients {
		if ids[c.port(t)] == 0 {
			t.Errorf("nothing of the client at port %d", c.port(t))
		}
	}
	return ids
}

// begin begins connects from a thread in the namespace.
func (l *lab) begin(k kind, to netip.AddrPort, count int) []*client {
	clients := make([]*client, count)
	err := onOwnThread(func() error {
		if err := unix.Setns(l.fd(), unix.CLONE_NEWNET); err != nil {
			return err
		}
		for i := range clients {
			c := &client{}
			var err error
			if c.fd, err = unix.Socket(k.family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
				return err
			}
			if err := c.prepare(k, MarkFor(0)); err != nil {
				return err
			}
			if err := unix.Connect(c.fd, sockaddr(k, to)); !errors.Is(err, unix.EINPROGRESS) {
				return fmt.Errorf("connect: %w", err)
			}
			clients[i] = c
		}
		return nil
	})
	if err != nil {
		panic(err) // in a test's goroutine
	}
	return clients
}
