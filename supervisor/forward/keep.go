package forward

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
)

// Keep calls put with the descriptors of the listening sockets, which stay the
// Forwarder's. A later process gives duplicates of them to Open as Config.Sockets:
// so nobody who connects meanwhile is refused.
func (f *Forwarder) Keep(put func(fds ...int) error) error {
	var fds []int
	var sockets []syscall.Conn
	for _, l := range f.tcp {
		sockets = append(sockets, l)
	}
	for _, c := range f.udp {
		sockets = append(sockets, c)
	}
	for _, s := range sockets {
		raw, err := s.SyscallConn()
		if err == nil {
			err = raw.Control(func(fd uintptr) { fds = append(fds, int(fd)) })
		}
		if err != nil {
			return fmt.Errorf("keep a published port of service %q: %w", f.config.Service, err)
		}
	}
	return put(fds...)
}

// adopt goes on with the sockets of an earlier process.
func (f *Forwarder) adopt() error {
	for _, fd := range f.config.Sockets {
		file := os.NewFile(uintptr(fd.Disown()), "published port")
		err := f.adoptOne(file)
		if err = errors.Join(err, file.Close()); err != nil {
			return errors.Join(fmt.Errorf("go on with a published port of service %q: %w", f.config.Service, err), f.closeSockets())
		}
	}
	return nil
}

// adoptOne makes a duplicate of the socket its own.
func (f *Forwarder) adoptOne(file *os.File) error {
	if f.config.Publish.Protocol == "udp" {
		c, err := net.FilePacketConn(file)
		if err != nil {
			return err
		}
		udp, ok := c.(*net.UDPConn)
		if !ok {
			return errors.Join(errors.New("it is no UDP socket"), c.Close())
		}
		f.udp = append(f.udp, udp)
		return nil
	}
	l, err := net.FileListener(file)
	if err != nil {
		return err
	}
	tcp, ok := l.(*net.TCPListener)
	if !ok {
		return errors.Join(errors.New("it is no TCP socket"), l.Close())
	}
	f.tcp = append(f.tcp, tcp)
	return nil
}
