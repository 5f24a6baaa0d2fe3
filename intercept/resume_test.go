package intercept

import (
	"net/netip"
	"testing"
	"time"
)

// TestRedoFull: a call of an earlier process is decided on in the loop, also where so
// much has come for the loop meanwhile that others have to wait.
func TestRedoFull(t *testing.T) {
	l := newLab(t, kept())
	l.add("client")
	decided := make(chan struct{})
	go l.do(func() {
		defer close(decided)
		s := l.newSource(l.instances["client"], l.spaces[l.ownNetNS], nil)
		s.redo = map[uint64]*record{}
		for len(l.inputs) < cap(l.inputs) {
			l.inputs <- func() {}
		}
		s.meet(route{target: netip.MustParseAddrPort("192.0.2.1:80")})
	})
	select {
	case <-decided:
	case <-time.After(patience):
		t.Error("the loop waits for itself")
		<-l.inputs // so that it goes on
	}
}
