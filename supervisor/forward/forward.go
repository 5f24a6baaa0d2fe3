// Package forward publishes ports of services that run as plain processes: it
// listens on the host's addresses and forwards to the service's own one.
//
// Use: Open listens before the service is up; a client that comes early waits
// until Config.Target knows where the service serves. Close ends it.
// Ownership: a Forwarder owns its sockets, the connections made through it and
// a goroutine for each; Close closes and waits for all of them.
// Promises: bytes arrive in order and unchanged, in the kernel (splice(2)) for
// TCP; the end of one direction leaves the other open; a reset stays a reset.
// When the service is known not to come the client is reset. UDP is kept for
// a while and then dropped, oldest first, as UDP may be.
// Tests: real sockets on the loopback device; the benchmark compares with a
// direct connection.
package forward

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"upall/compose"
	"upall/internal/linux"
)

// ErrPrivilegedPort says that a port is below the first one that an ordinary
// user may bind (net.ipv4.ip_unprivileged_port_start in ip_sysctl).
var ErrPrivilegedPort = errors.New("port needs privilege")

// Config says what to forward.
type Config struct {
	Service string
	Publish compose.Publish

	// Target returns where the service serves, and blocks until it does. An
	// error says that it is known not to come. It is called once for each
	// connection or UDP client, from several goroutines, and must return when
	// its context ends.
	Target func(context.Context) (netip.AddrPort, error)

	// Connected is told of each TCP connection to the service before any byte goes
	// over it. It may be nil.
	Connected func(service *net.TCPConn)

	// WhoListens names the process that listens on a port of this host, "" when
	// it does not know. It may be nil.
	WhoListens func(port uint16) string

	// Sockets are those of an earlier process, see Keep, which Open takes over
	// instead of making its own.
	Sockets []*linux.FD

	// Logger may be nil.
	Logger *slog.Logger
}

// Forwarder is one published port.
type Forwarder struct {
	config Config
	log    *slog.Logger
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup
	tcp    []*net.TCPListener
	udp    []*net.UDPConn
	idle   time.Duration // of a UDP association
}

// Open listens on the host side of config.Publish.
//
// A HostIP is used as it is. Without one, and for 0.0.0.0 and ::, it listens on
// each address that the host's interfaces have at the moment (for 0.0.0.0 the
// IPv4 ones), not on the wildcard: that would take the same port from the
// services' own 127.x.y.z addresses. Left out are link-local addresses and all
// loopback ones but 127.0.0.1 and ::1. An address that appears later is not
// served. HostPort 0 takes a free port, the same on all addresses.
//
// Errors: ErrPrivilegedPort; a port in use, with the name of its owner; all
// with service and port. A host without IPv6 is none.
//
// When ctx ends, connections do too; the sockets need a Close nevertheless.
func Open(ctx context.Context, config Config) (*Forwarder, error) {
	return open(ctx, config, udpIdle)
}

func open(ctx context.Context, config Config, idle time.Duration) (*Forwarder, error) {
	f := &Forwarder{config: config, log: config.Logger, idle: idle}
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	f.log = f.log.With("service", config.Service, "target_port", config.Publish.Target)
	if err := f.openSockets(); err != nil {
		return nil, err
	}
	f.ctx, f.cancel = context.WithCancel(ctx)
	for _, l := range f.tcp {
		f.wg.Go(func() { f.accept(l) })
	}
	for _, c := range f.udp {
		f.wg.Go(func() { f.receive(c) })
	}
	return f, nil
}

func (f *Forwarder) openSockets() error {
	if len(f.config.Sockets) > 0 {
		return f.adopt()
	}
	addrs, isExplicit, err := hostAddrs(f.config.Publish.HostIP)
	if err != nil {
		return fmt.Errorf("publish port %d of service %q: %w", f.config.Publish.Target, f.config.Service, err)
	}
	return f.listen(addrs, isExplicit)
}

// Ports returns the addresses that are really bound.
func (f *Forwarder) Ports() []netip.AddrPort {
	var ports []netip.AddrPort
	for _, l := range f.tcp {
		ports = append(ports, addrPort(l.Addr()))
	}
	for _, c := range f.udp {
		ports = append(ports, addrPort(c.LocalAddr()))
	}
	return ports
}

// Close stops listening, ends all connections and waits for that. It must not
// be called together with Ports.
func (f *Forwarder) Close() error {
	f.cancel()
	err := f.closeSockets()
	f.wg.Wait()
	return err
}
