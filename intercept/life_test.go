package intercept

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"upall/intercept/registry"
	"upall/internal/event"
	"upall/internal/linux"
)

// lifeVariable says what the test binary is instead: "interceptor" for one that can
// be killed and starts again, "actor" for a program in Go.
const lifeVariable = "UPALL_INTERCEPT_LIFE"

// lifeFD is where an interceptor of its own process meets the test, in messages: a
// kind, and what is said at each. The test is its keeper too.
const (
	lifeFD = 3

	keptEntry = 'K' // to it: name, 0, data; with descriptors
	begin     = 'B' // to it: lifeOptions, after the entries
	ordered   = 'O' // to it: order
	answered  = 'A' // from it: order, done
	putEntry  = 'P' // from it: as keptEntry
	dropEntry = 'D' // from it: name
	told      = 'E' // from it: event.Event
	logged    = 'L' // from it: a line
)

type lifeOptions struct {
	Socket, Ledger string
	Disabled       linux.Disabled
}

// order is what the interceptor is told to do.
type order struct {
	ID       int
	Do       string // add, resume, started, ended, state
	Name     string
	Code     int
	Final    bool
	Instance *described     `json:",omitempty"`
	State    map[string]int `json:",omitempty"` // the answer to state
}

// described is an Instance in JSON.
type described struct {
	registry.Instance
	Metadata string
	Rewrite  bool
	Second   netip.Addr
	Early    []uint16
	OnDemand bool
	Loopback netip.Addr
}

func (d *described) instance() Instance {
	in := Instance{
		Instance: d.Instance, Metadata: d.Metadata, Rewrite: d.Rewrite, Second: d.Second, Early: d.Early, Loopback: d.Loopback,
	}
	if d.OnDemand {
		in.OnDemand = func(uint16) bool { return true }
	}
	return in
}

// runLife is TestMain of such a process, false for the tests themselves.
func runLife() (code int, is bool) {
	switch os.Getenv(lifeVariable) {
	case "interceptor":
		if err := liveOn(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1, true
		}
		return 0, true
	case "actor":
		actInGo()
		return 0, true
	}
	return 0, false
}

// lifeConn is the interceptor's end.
type lifeConn struct{ fd int }

func (c lifeConn) send(kind byte, data []byte, fds ...int) error {
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	return unix.Sendmsg(c.fd, append([]byte{kind}, data...), rights, nil, 0)
}

func (c lifeConn) sendJSON(kind byte, v any) {
	data, err := json.Marshal(v)
	if err == nil {
		err = c.send(kind, data)
	}
	if err != nil && !errors.Is(err, unix.EPIPE) { // the test is over
		fmt.Fprintf(os.Stderr, "tell %c: %v\n", kind, err)
	}
}

func (c lifeConn) receive() (kind byte, data []byte, fds []*linux.FD, err error) {
	buf, oob := make([]byte, 64<<10), make([]byte, unix.CmsgSpace(4*8))
	var n, oobn int
	for {
		if n, oobn, _, _, err = unix.Recvmsg(c.fd, buf, oob, unix.MSG_CMSG_CLOEXEC); !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		return 0, nil, nil, err
	}
	if n == 0 {
		return 0, nil, nil, io.EOF
	}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil {
		return 0, nil, nil, err
	}
	for i := range messages {
		numbers, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			return 0, nil, nil, err
		}
		for _, number := range numbers {
			fds = append(fds, linux.NewFD(number))
		}
	}
	return buf[0], buf[1:n], fds, nil
}

// The methods of Keep, and of io.Writer for the log.

func (c lifeConn) Put(name string, data []byte, fds ...int) error {
	return c.send(putEntry, append(append([]byte(name), 0), data...), fds...)
}

func (c lifeConn) Drop(name string) error { return c.send(dropEntry, []byte(name)) }

func (c lifeConn) Write(line []byte) (int, error) { return len(line), c.send(logged, line) }

// liveOn is an interceptor until it is killed, or the test's end is closed.
func liveOn() error {
	c := lifeConn{lifeFD}
	unix.CloseOnExec(c.fd)
	var kept []Kept
	var o lifeOptions
	for {
		kind, data, fds, err := c.receive()
		if err != nil {
			return err
		}
		if kind == begin {
			if err := json.Unmarshal(data, &o); err != nil {
				return err
			}
			break
		}
		name, rest, _ := bytes.Cut(data, []byte{0})
		kept = append(kept, Kept{string(name), rest, fds})
	}
	i, err := Open(context.Background(), Options{
		Socket: o.Socket, Ledger: o.Ledger, Disabled: o.Disabled, HoldTimeout: time.Minute, Keep: c, Kept: kept,
		Emit:   func(e event.Event) { c.sendJSON(told, e) },
		Logger: slog.New(slog.NewTextHandler(c, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return err
	}
	for {
		_, data, _, err := c.receive()
		if errors.Is(err, io.EOF) {
			return i.Close()
		}
		var do order
		if err := errors.Join(err, json.Unmarshal(data, &do)); err != nil {
			return err
		}
		if err := do.carryOut(i); err != nil {
			return err
		}
		c.sendJSON(answered, do)
	}
}

func (o *order) carryOut(i *Interceptor) error {
	switch o.Do {
	case "add":
		i.Add(o.Instance.instance())
		o.Instance = nil
	case "resume":
		return i.Resume()
	case "started":
		i.Started(o.Name)
	case "ended":
		i.Ended(o.Name, o.Code, o.Final)
	case "state":
		i.do(func() {
			o.State = map[string]int{"holds": len(i.holds), "sources": len(i.sources), "records": len(i.records.inUse())}
			for _, r := range i.records.inUse() {
				o.State[fmt.Sprintf("record of call %x, flags %x, way %d, end %d, source %d", r.call, r.flags, r.way, r.end, r.notify)] = int(r.id)
			}
			for _, s := range i.spaces {
				o.State["parked"] += len(s.parked)
			}
		})
	}
	return nil
}

// actInGo is an actor in Go: "ID MODE dial IP PORT" connects, "many" often, and
// "serve" listens.
func actInGo() {
	var mu sync.Mutex
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		words := strings.Fields(lines.Text())
		go func() {
			var err error
			at := net.JoinHostPort(words[3], words[4])
			switch words[2] {
			case "dial":
				err = dialOnce(at)
			case "many":
				for n := 0; n < 100 && err == nil; n++ {
					err = dialOnce(at)
				}
			case "serve":
				err = serveAll(at)
			}
			answer := "ok"
			if err != nil {
				answer = err.Error()
			}
			mu.Lock()
			defer mu.Unlock()
			fmt.Println(words[0], answer)
		}()
	}
}

// dialOnce connects and has one byte come back.
func dialOnce(at string) error {
	conn, err := net.DialTimeout("tcp", at, time.Minute)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write([]byte("x")); err != nil {
		return err
	}
	_, err = io.ReadFull(conn, make([]byte, 1))
	return err
}

func serveAll(at string) error {
	listener, err := net.Listen("tcp", at)
	if err != nil {
		return err
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(conn, conn)
				_ = conn.Close()
			}()
		}
	}()
	return nil
}
