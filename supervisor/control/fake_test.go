package control

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"upall/compose"
	"upall/internal/event"
	"upall/supervisor/status"
)

// epoch is when everything has happened that a fake project tells.
var epoch = time.Date(2026, 5, 4, 12, 30, 0, 123_000_000, time.UTC)

// anyBytes are no UTF-8.
const anyBytes = "caf\xe9 \xff\x00 <\u2028>"

// fake is a Project that does nothing.
type fake struct {
	life   int
	output *Output // nil: the lines below

	mu      sync.Mutex // guards what follows
	specs   []*Spec
	actions []Action
}

func (f *fake) Snapshot() Snapshot {
	api := status.Status{
		Service: "api", Instance: "api-1", Runtime: compose.Process, State: event.StateWaiting, Since: epoch, Started: epoch,
		Missing: "waits for db:5432", HealthDecides: true, Declared: []uint16{8080}, PID: 4242,
		WaitingOn: []status.Wait{{Target: "db", Port: 5432, Since: epoch, Cause: "db does not listen yet", Way: event.Parked, Count: 1}},
	}
	db := status.Status{
		Service: "db", Instance: "db-1", Runtime: compose.Engine, State: event.Starting, Since: epoch, Started: epoch,
		Missing: "does not listen on port 5432 yet", Health: status.Checking, HealthDecides: true, Declared: []uint16{5432},
		HealthLog: []status.Probe{{At: epoch, Code: 2, Output: "no response", Elapsed: 31 * time.Millisecond}},
		HeldFor:   1, PID: 4243, ContainerID: "6d4d8b7f2c1e",
	}
	return Snapshot{
		API: Version, Version: "0.1.0", Project: "shop", Phase: Up, Seq: 3, Life: f.life, SupervisorPID: 4100, KeeperPID: 4099,
		Started: epoch, Prefix: netip.MustParsePrefix("127.64.16.0/20"), Socket: "/run/upall/shop/private/agent.sock", StateDir: "/run/upall/shop",
		Processes: []compose.Instance{{Name: "api-1", Index: 1, Addr: netip.MustParseAddr("127.64.16.2"), Addr2: netip.MustParseAddr("127.64.24.2")}},
		Published: []Published{{Instance: "api-1", HostPort: 8080, Target: 8080, Protocol: "tcp"}},
		Instances: []status.Status{api, db},
		Holds:     []HoldInfo{{ID: 7, Service: "api", Instance: "api-1", Target: "db", Port: 5432, Since: epoch, Cause: "db does not listen yet", Way: event.Parked}},
		Edges: []Edge{{
			Client: "api", Target: "db", Port: 5432, Protocol: "tcp", Declared: true, Observed: true,
			Count: 12, First: epoch, Last: epoch, Held: 1, HeldFor: time.Second, Longest: time.Second,
		}},
		Diagnoses: []Diagnosis{{
			At: epoch, Service: "api", Instance: "api-1", Target: "db", Port: 5433, Kind: event.WrongPort, About: "db",
			Cause: "db listens on 5432 only", Message: "api is refused by db:5433: db listens on 5432 only",
		}},
	}
}

// aRecord is what is on record of a fake project.
const aRecord = `{"run":{"format":1,"project":"shop","upall":"0.1.0","started":"2026-05-04T12:30:00.123Z"}}
{"plan":{"at":"2026-05-04T12:30:00.123Z","services":[{"name":"api","runtime":"process","instances":["api-1"]}],"dependencies":[{"client":"api","target":"db","kind":"depends_on","condition":"service_started","required":true}]}}
{"event":{"time":"2026-05-04T12:30:00.123Z","type":"connected","service":"api","instance":"api-1","target":"db","port":5432}}
{"edges":[{"client":"api","target":"db","port":5432,"protocol":"tcp","declared":true,"observed":true,"count":12}]}
`

func (f *fake) Record() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(aRecord)), nil }

// Stats gives one sample without rates and one with them, or the latter alone.
func (f *fake) Stats(ctx context.Context, q StatsQuery, yield func(Stats) error) error {
	e := EdgeStats{
		Client: "api", Target: "db", Port: 5432, Protocol: "tcp", Connects: 12, Held: 1, Open: 2,
		Sent: 4096, Received: 1 << 20, RTT: 40 * time.Microsecond,
	}
	i := InstanceStats{Service: "api", Instance: "api-1", Memory: 24 << 20, PIDs: 7}
	if q.Follow {
		if err := yield(Stats{Time: epoch, Edges: []EdgeStats{e}, Instances: []InstanceStats{i}}); err != nil {
			return err
		}
	}
	e.Connects, e.ConnectsPerSecond, e.SentPerSecond, e.ReceivedPerSecond, i.CPU = 14, 2, 2048, 65536, 0.25
	err := yield(Stats{Time: epoch.Add(q.Interval), Interval: q.Interval, Edges: []EdgeStats{e}, Instances: []InstanceStats{i}})
	if err != nil || !q.Follow {
		return err
	}
	<-ctx.Done()
	return ctx.Err()
}

func (f *fake) Service(_ context.Context, service string) (ServiceInfo, error) {
	if service != "db" {
		return ServiceInfo{}, Errorf(http.StatusNotFound, "no such service: %s", service)
	}
	return ServiceInfo{
		Service: "db", Image: "postgres:15", Command: []string{"postgres", "-c", "fsync=off"},
		Environment: map[string]string{"POSTGRES_PASSWORD": "secret"},
		Published:   []Published{{Instance: "db-1", HostIP: "127.0.0.1", HostPort: 32768, Target: 5432, Protocol: "tcp"}},
	}, nil
}

func (f *fake) Apply(_ context.Context, s *Spec) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.specs = append(f.specs, s)
	return nil
}

func (f *fake) Act(ctx context.Context, a Action) error {
	f.mu.Lock()
	f.actions = append(f.actions, a)
	f.mu.Unlock()
	switch {
	case slices.Contains(a.Services, "nobody"):
		return Errorf(http.StatusNotFound, "no such service: nobody")
	case slices.Contains(a.Services, "broken"):
		return errors.New("first line\nsecond line")
	case slices.Contains(a.Services, "slow"):
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

func (f *fake) Logs(ctx context.Context, q LogQuery, yield func(LogLine) error) error {
	if f.output != nil {
		return f.output.Logs(ctx, q, yield)
	}
	if slices.Contains(q.Services, "nobody") {
		return Errorf(http.StatusNotFound, "no such service: nobody")
	}
	for _, line := range []LogLine{
		{Time: epoch, Service: "api", Instance: "api-1", Stream: "stdout", Message: "connect to db:5432"},
		{Time: epoch.Add(time.Second), Service: "db", Instance: "db-1", Stream: "stderr", Message: "recovery <in progress>"},
	} {
		if err := yield(line); err != nil {
			return err
		}
	}
	if slices.Contains(q.Services, "bytes") {
		return yield(LogLine{Instance: "bytes-1", Message: anyBytes})
	}
	if slices.Contains(q.Services, "broken") {
		return errors.New("the disk is gone")
	}
	return nil
}

// someEvents are in every log of served.
func someEvents() []event.Event {
	return []event.Event{
		{Time: epoch, Type: event.StateChanged, Service: "api", Instance: "api-1", State: event.Starting},
		{Time: epoch, Type: event.HoldBegan, Service: "api", Instance: "api-1", Hold: 7, Target: "db", Port: 5432, Way: event.Parked, Cause: "db does not listen yet"},
		{Time: epoch, Type: event.Log, Service: "db", Instance: "db-1", Stream: "stderr", Message: "recovery in progress"},
	}
}

// crashing is a listener that can cut all connections, as a crash does.
type crashing struct {
	net.Listener
	mu     sync.Mutex // guards what follows
	conns  []*cuttable
	isDead bool // it cuts new ones too
}

func (c *crashing) Accept() (net.Conn, error) {
	for {
		conn, err := c.Listener.Accept()
		if err != nil {
			return nil, err
		}
		cuttable := &cuttable{UnixConn: conn.(*net.UnixConn)}
		c.mu.Lock()
		isDead := c.isDead
		c.conns = append(c.conns, cuttable)
		c.mu.Unlock()
		if !isDead {
			return cuttable, nil
		}
		_ = conn.Close()
	}
}

func (c *crashing) cut(dies bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.isDead = dies
	for _, conn := range c.conns { // all at once: nobody is told that another has gone
		conn.isCut.Store(true)
	}
	for _, conn := range c.conns {
		_ = conn.Close()
	}
}

// cuttable is a connection through which nothing goes any more once it is cut.
type cuttable struct {
	*net.UnixConn
	isCut atomic.Bool
}

func (c *cuttable) Write(b []byte) (int, error) {
	if c.isCut.Load() {
		return 0, net.ErrClosed
	}
	return c.UnixConn.Write(b)
}

// served is a server in this process.
type served struct {
	t       *testing.T
	path    string
	log     *Log
	project *fake
	// keeper holds the socket open over crashes.
	keeper   *net.UnixListener
	listener *crashing
	cancel   context.CancelFunc
	ended    chan error
}

// serve starts a server at a socket of its own.
func serve(t *testing.T) *served {
	t.Helper()
	s := &served{t: t, path: filepath.Join(t.TempDir(), "control.sock")}
	keeper, err := net.ListenUnix("unix", &net.UnixAddr{Name: s.path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	s.keeper = keeper
	t.Cleanup(func() {
		s.end()
		_ = keeper.Close()
	})
	s.live(1)
	return s
}

// live begins a life of the server.
func (s *served) live(life int) {
	s.t.Helper()
	file, err := s.keeper.File()
	if err != nil {
		s.t.Fatal(err)
	}
	listener, err := net.FileListener(file)
	if err = errors.Join(err, file.Close()); err != nil {
		s.t.Fatal(err)
	}
	s.log = NewLog()
	if life == 1 {
		for _, e := range someEvents() {
			s.log.Append(e)
		}
	}
	var output *Output
	if s.project != nil {
		output = s.project.output
	}
	s.project, s.listener = &fake{life: life, output: output}, &crashing{Listener: listener}
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel, s.ended = cancel, make(chan error, 1)
	go func() { s.ended <- Serve(ctx, s.listener, s.project, os.Geteuid(), s.log) }()
}

// end ends the server in order.
func (s *served) end() {
	s.cancel()
	if err := <-s.ended; err != nil {
		s.t.Errorf("serve: %v", err)
	}
	s.ended <- nil // for the next
}

// crash ends it as a signal would: every connection is cut in the middle.
func (s *served) crash() {
	s.listener.cut(true)
	s.end()
}

func (s *served) dial() *Client {
	s.t.Helper()
	c, err := Dial(s.t.Context(), s.path)
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}
