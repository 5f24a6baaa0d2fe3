package intercept

import (
	"fmt"
	"testing"

	"upall/internal/event"
	"upall/internal/testenv"
)

// TestKernelUndecided: a connect that comes before it is known whether it can be
// parked waits for that, and each end of a hold may come before.
func TestKernelUndecided(t *testing.T) {
	for _, end := range []event.End{event.Released, "late release", event.Refused, event.Canceled, "closed"} {
		t.Run(string(end), func(t *testing.T) {
			l := newLab(t, parked())
			client, server := l.containers()
			fd := client.tcp() // it runs, so its notifyFD is handed over
			var s *space
			known := make(chan struct{})
			l.do(func() {
				s = l.instances["client"].space
				<-s.opening
				s.opening = known
			})
			isKnown := func() {
				l.do(func() {
					close(known)
					l.opened(s)
				})
			}
			called := client.begin("-", "connect %d %s", fd, server.at(port))
			testenv.Eventually(t, patience, func() error {
				var n int
				l.do(func() { n = len(s.undecided) })
				if n != 1 {
					return fmt.Errorf("%d wait to be parked", n)
				}
				return nil
			})
			if es := l.all(isBegun); len(es) > 0 {
				t.Errorf("told before it is known: %s", describe(es...))
			}
			switch end {
			case event.Released:
				server.start().listener("0.0.0.0", port)
				client.want(called, "ok")
				isKnown()
			case "late release":
				isKnown()
				l.waitHolds(1)
				l.waitParked(1)
				server.start().listener("0.0.0.0", port)
				client.want(called, "ok")
				end = event.Released
			case event.Refused:
				server.start().end(1)
				client.want(called, "ECONNREFUSED")
				isKnown()
			case event.Canceled:
				client.kill()
				client.want(called, dead)
				isKnown()
			case "closed":
				close(known)
				if err := l.Close(); err != nil {
					t.Error(err)
				}
				client.want(called, "ECONNREFUSED")
				end = event.Refused
			}
			l.wait(1, "holds began", isBegun)
			l.waitEnds(1, end)
		})
	}
}
