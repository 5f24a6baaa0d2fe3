package intercept

import (
	"time"

	"upall/intercept/seccomp"
)

// rate switches the synchronous hand-over off while several threads call often:
// it would pull all of them to one CPU. A single thread is there anyway.
type rate struct {
	enabled bool
	on      bool
	n       int
	since   time.Time
	caller  uint32 // the first of this window
	several bool   // there were others
}

const (
	rateWindow = 128  // notifications between decisions
	rateLimit  = 5000 // notifications a second
)

func (r *rate) count(fd *seccomp.NotifyFD, caller uint32, now func() time.Time) {
	r.several = r.several || caller != r.caller
	if r.n++; !r.enabled || r.n%rateWindow != 1 {
		return
	}
	t := now()
	sync := !r.several || t.Sub(r.since) > rateWindow*time.Second/rateLimit
	r.since, r.caller, r.several = t, caller, false
	if sync == r.on {
		return
	}
	if fd.SetSyncWakeUp(sync) != nil {
		r.enabled = false // before Linux 6.6
		return
	}
	r.on = sync
}
