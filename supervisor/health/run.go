package health

import (
	"context"
	"time"
)

// noCode is the exit code of a probe that has none.
const noCode = -1

// startAllowance is what the start of a command may take when the machine is
// busy. It is added to the timeout, which is for the command itself.
const startAllowance = time.Second

// Probe runs the command of a healthcheck once. It returns soon after ctx has
// ended, with nothing of the command left running. Run fills in Began, Elapsed
// and TimedOut.
type Probe func(ctx context.Context) Result

// Run probes until ctx ends, or the Check does. tell gets the Status after each
// probe; a probe that ctx has ended is not told. Each value of wake is a
// Check.Wake; it may be nil.
func Run(ctx context.Context, c *Check, probe Probe, wake <-chan struct{}, tell func(Status)) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		at, ok := c.Next()
		if !ok {
			return
		}
		timer.Reset(time.Until(at))
		select {
		case <-ctx.Done():
			return
		case <-wake:
			c.Wake(time.Now())
			continue
		case <-timer.C:
		}
		r := once(ctx, probe, c.Config.Timeout)
		if ctx.Err() != nil {
			return
		}
		tell(c.Step(r))
	}
}

func once(ctx context.Context, probe Probe, timeout time.Duration) Result {
	began := time.Now()
	limited, cancel := context.WithDeadline(ctx, began.Add(timeout+startAllowance))
	defer cancel()
	r := probe(limited)
	r.Began, r.Elapsed = began, time.Since(began)
	if limited.Err() != nil {
		r.Code, r.TimedOut, r.Err = noCode, true, ""
	}
	return r
}
