package forward

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// udpIdle is how long an association of a client lives without a datagram
	// in either direction, before or after the service serves.
	udpIdle = 90 * time.Second
	// udpQueue is how many datagrams of a client are kept before it is ready;
	// the oldest is dropped for a newer one.
	udpQueue = 64
	// udpClients bounds the associations of one socket. Source addresses can be
	// forged, so beyond it datagrams of new clients are dropped.
	udpClients = 1024
	// maxDatagram is the largest payload of UDP over IPv4 and, rounded, IPv6.
	maxDatagram = 1 << 16
)

// association is one UDP client of one published socket: it has a socket of its
// own to the service, so that answers find their way.
type association struct {
	client netip.AddrPort
	public *net.UDPConn // the socket that the client talks to
	// queue carries what the client sent; when full, the oldest is dropped.
	queue chan []byte
	// used is the time of the last datagram, in nanoseconds since the epoch.
	used atomic.Int64
}

// associations is the table of one socket.
type associations struct {
	mu       sync.Mutex
	byClient map[netip.AddrPort]*association
}

// receive runs until the socket is closed.
func (f *Forwarder) receive(public *net.UDPConn) {
	table := associations{byClient: map[netip.AddrPort]*association{}}
	buffer := make([]byte, maxDatagram)
	for {
		n, client, err := public.ReadFromUDPAddrPort(buffer)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			// An ICMP answer to one of our own datagrams; the socket is fine.
			f.log.Debug("receive on published port", "addr", public.LocalAddr(), "err", err)
			if !pause(f.ctx, acceptPause) {
				return
			}
			continue
		}
		f.dispatch(&table, public, client, buffer[:n])
	}
}

// dispatch hands a datagram to its association, a new one if need be.
func (f *Forwarder) dispatch(table *associations, public *net.UDPConn, client netip.AddrPort, datagram []byte) {
	table.mu.Lock()
	defer table.mu.Unlock()
	a, ok := table.byClient[client]
	if !ok {
		if len(table.byClient) == udpClients {
			f.log.Debug("published port: too many UDP clients", "client", client)
			return
		}
		a = &association{client: client, public: public, queue: make(chan []byte, udpQueue)}
		table.byClient[client] = a
		f.wg.Go(func() {
			err := f.associate(a)
			table.mu.Lock()
			delete(table.byClient, client)
			table.mu.Unlock()
			if err != nil {
				f.log.Debug("published port: UDP client dropped", "client", client, "err", err)
			}
		})
	}
	a.put(append([]byte(nil), datagram...))
}

// put queues a datagram. There is one caller at a time, so after a drop there
// is room.
func (a *association) put(datagram []byte) {
	a.touch()
	for {
		select {
		case a.queue <- datagram:
			return
		default:
		}
		select {
		case <-a.queue:
		default:
		}
	}
}

func (a *association) touch() { a.used.Store(time.Now().UnixNano()) }

// idleLeft returns the time until the association is idle for too long.
func (a *association) idleLeft(limit time.Duration) time.Duration {
	return limit - time.Since(time.Unix(0, a.used.Load()))
}

// associate serves one client until it is idle, the service is known not to
// come or refuses, or the forwarder closes.
func (f *Forwarder) associate(a *association) error {
	ctx, cancel := context.WithCancelCause(f.ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel(nil) // before the Wait above
	wg.Go(func() { f.expire(ctx, a, cancel) })

	target, err := f.config.Target(ctx)
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if err != nil {
		return err
	}
	service, err := dialUDP(target)
	if err != nil {
		return err
	}
	// Closing a datagram socket loses nothing, so its error says nothing.
	stop := context.AfterFunc(ctx, func() { _ = service.Close() })
	defer func() {
		if stop() {
			_ = service.Close()
		}
	}()
	wg.Go(func() { cancel(a.answer(service)) })
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case datagram := <-a.queue:
			if _, err := service.Write(datagram); err != nil {
				return err
			}
		}
	}
}

var errIdle = errors.New("no datagram for a while")

// expire cancels the association when it is idle.
func (f *Forwarder) expire(ctx context.Context, a *association, cancel context.CancelCauseFunc) {
	for left := f.idle; left > 0; left = a.idleLeft(f.idle) {
		if !pause(ctx, left) {
			return
		}
	}
	cancel(errIdle)
}

// answer hands the service's datagrams to the client until the socket is closed
// or the service refuses.
func (a *association) answer(service *net.UDPConn) error {
	buffer := make([]byte, maxDatagram)
	for {
		n, err := service.Read(buffer)
		if err != nil {
			return err
		}
		a.touch()
		if _, err := a.public.WriteToUDPAddrPort(buffer[:n], a.client); err != nil {
			return err
		}
	}
}
