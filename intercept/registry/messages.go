package registry

import (
	"net/netip"
	"time"
)

// Input is something that happened: one of the types below.
type Input interface{ input() }

// The inputs.
type (
	// Started says that the instance's program begins to run, for the first time
	// or again.
	Started struct{ Instance string }
	// Ended says that the instance's program ended, and with it the connects that
	// it waited for. Final: it will not be started again.
	Ended struct {
		Instance string
		Code     int
		Final    bool
	}
	// Listened says that the instance performed listen(2) on At. The unspecified
	// address of IPv4 stands for all of its IPv4 addresses, that of IPv6 for all,
	// or with V6Only for its IPv6 ones; either stands for its loopback too. Probe:
	// its listener may not serve yet.
	Listened struct {
		Instance string
		At       netip.AddrPort
		Probe    bool
		V6Only   bool
	}
	// Unlistened says that nobody listens at At, whatever was told before: a
	// program has closed its listener, or ended.
	Unlistened struct{ At netip.AddrPort }
	// Removed says that the instance is not of the project any more: it is
	// forgotten.
	Removed struct{ Instance string }
	// Served says that the serve probe of At succeeded.
	Served struct{ At netip.AddrPort }
	// Health says what the healthcheck of the instance has found in this run.
	Health struct {
		Instance string
		State    HealthState
	}
	// Connect asks what happens to a connect of the instance. ID is the caller's,
	// unique for ever. Began is when a connect was held that a Registry before this
	// one has known, and zero for a new one; give the oldest first.
	Connect struct {
		ID     uint64
		Client string
		Target netip.AddrPort
		Began  time.Time
	}
	// Gone says that the client of a held connect went away.
	Gone struct{ ID uint64 }
	// Take asks for the release of at most Max of At's waiters.
	Take struct {
		At  netip.AddrPort
		Max int
	}
	// Tick says that time has passed.
	Tick struct{}
)

func (Started) input()    {}
func (Ended) input()      {}
func (Listened) input()   {}
func (Removed) input()    {}
func (Unlistened) input() {}
func (Served) input()     {}
func (Health) input()     {}
func (Connect) input()    {}
func (Gone) input()       {}
func (Take) input()       {}
func (Tick) input()       {}

// Output is something to be done or told: one of the types below.
type Output interface{ output() }

// The outputs.
type (
	// Pass lets the connect go on, nobody waits.
	Pass struct{ ID uint64 }
	// Hold has the connect wait from now on. It may be released as soon as Target
	// serves and is healthy.
	Hold struct {
		ID     uint64
		Client string
		Target netip.AddrPort
		Server string // the target's instance; the first of those that it may be
		Cause  string // what it waits for
	}
	// Release ends the hold, and the connect goes on.
	Release struct {
		ID      uint64
		Cause   string
		Elapsed time.Duration
	}
	// Refuse ends the connect, or the hold, with ECONNREFUSED.
	Refuse struct {
		ID      uint64
		Cause   string
		Elapsed time.Duration
	}
	// Expire is as Refuse, for the hold timeout: its own, or that of another hold
	// of a cycle of which this is the youngest.
	Expire struct {
		ID      uint64
		Cause   string
		Elapsed time.Duration
	}
	// Canceled says that the hold ended with its client.
	Canceled struct {
		ID      uint64
		Elapsed time.Duration
	}
	// Probe asks to find out whether At, where the instance listens, serves, then
	// give Served.
	Probe struct {
		At       netip.AddrPort
		Instance string
	}
	// Warn says that the client's connects to the server go on, or with Server ""
	// those to all, although what they were to wait for has not come about. It is
	// told with each such connect.
	Warn struct {
		Client string // instance
		Server string // service
		Cause  string
	}
	// Drain says that At serves and has waiters that nothing else is in the way of:
	// Take them at the pace of its accept queue, until a Take with room releases
	// none.
	Drain struct{ At netip.AddrPort }
	// Open says that At serves, is healthy, and nobody waits but behind a closed
	// Gate; connects need not ask any more, but for clients whose Gate is closed.
	Open struct{ At netip.AddrPort }
	// Shut says that an Open is no longer true.
	Shut struct{ At netip.AddrPort }
	// Ready says that the instance serves all its declared ports, or its first
	// listener.
	Ready struct {
		Instance string
		Elapsed  time.Duration // since Started
	}
	// Settled says that the start-up window of the instance is over, and nobody
	// waits for it any more but to be released.
	Settled struct{ Instance string }
	// Gate says whether the connects of the instance may go on, or wait for its
	// jobs. Once open, a gate stays so until the instance is started again.
	Gate struct {
		Instance string
		Open     bool
	}
	// Cycle says that these services wait for each other. Ended: one that waited
	// for health alone is let through, which ends it.
	Cycle struct {
		Members []string
		Ended   bool
	}
)

func (Pass) output()     {}
func (Hold) output()     {}
func (Release) output()  {}
func (Refuse) output()   {}
func (Expire) output()   {}
func (Canceled) output() {}
func (Probe) output()    {}
func (Warn) output()     {}
func (Drain) output()    {}
func (Open) output()     {}
func (Shut) output()     {}
func (Ready) output()    {}
func (Settled) output()  {}
func (Gate) output()     {}
func (Cycle) output()    {}
