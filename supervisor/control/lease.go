package control

import (
	"context"
	"slices"
	"sync"
	"time"
)

// leases is the line of those who want to change the project: the first has the
// lease. It is advice among commands; nothing is refused for the lack of it.
type leases struct {
	mu   sync.Mutex // guards line
	line []*lease
}

type lease struct {
	pid     int
	granted chan struct{} // closed when it is the first
}

// leaseBody is what is asked for with /v1/lease; it may be left out.
type leaseBody struct {
	Again bool `json:"again,omitempty"` // by who had it when the supervisor crashed
}

// yieldTime is how long others let the holder of the lease be the first after a
// crash.
const yieldTime = 500 * time.Millisecond

// yield returns false when there is nothing to wait for any more.
func (s *server) yield(ctx context.Context) bool {
	select {
	case <-s.yielded:
		return true
	case <-ctx.Done():
	case <-s.over:
	}
	return false
}

// leaseLine is a line of the answer to /v1/lease.
type leaseLine struct {
	Granted   bool `json:"granted"`
	Ahead     int  `json:"ahead,omitempty"`      // how many have come before
	HolderPID int  `json:"holder_pid,omitempty"` // of who has it
}

func (l *leases) enter(pid int) *lease {
	l.mu.Lock()
	defer l.mu.Unlock()
	entered := &lease{pid: pid, granted: make(chan struct{})}
	l.line = append(l.line, entered)
	if len(l.line) == 1 {
		close(entered.granted)
	}
	return entered
}

func (l *leases) leave(who *lease) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := slices.Index(l.line, who)
	l.line = slices.Delete(l.line, n, n+1)
	if n == 0 && len(l.line) > 0 {
		close(l.line[0].granted)
	}
}

// ahead tells how many come before, and the process that has the lease.
func (l *leases) ahead(who *lease) (count, holder int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Index(l.line, who), l.line[0].pid
}
