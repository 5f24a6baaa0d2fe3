package supervisor

import (
	"net"
	"sync"
	"sync/atomic"
)

// clients counts the connections to the control API.
type clients struct {
	*net.UnixListener
	open atomic.Int64
}

func (c *clients) Accept() (net.Conn, error) {
	conn, err := c.AcceptUnix()
	if err != nil {
		return nil, err
	}
	c.open.Add(1)
	return &connection{UnixConn: conn, closed: sync.OnceFunc(func() { c.open.Add(-1) })}, nil
}

// connection is still a syscall.Conn: who it is can be asked of the kernel.
type connection struct {
	*net.UnixConn
	closed func()
}

// Close may be called more than once.
func (c *connection) Close() error {
	c.closed()
	return c.UnixConn.Close()
}
