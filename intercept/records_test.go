package intercept

import (
	"net/netip"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"upall/internal/event"
	"upall/internal/linux"
)

// TestRecords: another process finds what was written, and nothing of what was
// dropped.
func TestRecords(t *testing.T) {
	r, err := newRecords()
	if err != nil {
		t.Fatal(err)
	}
	dup, err := unix.FcntlInt(uintptr(r.fd.Int()), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	loopback := netip.MustParseAddr("::1%pod")
	places := []netip.AddrPort{
		{}, netip.MustParseAddrPort("10.0.0.1:80"), netip.MustParseAddrPort("[fd00::1]:81"), netip.AddrPortFrom(loopback, 82),
	}
	for n := range 10 {
		c := record{id: uint64(n + 1), target: placeOf(places[n%len(places)])}
		c.setClient("client")
		of := r.take(c)
		of.setWay(event.Early)
		of.set(beganTold | performing)
		of.unset(performing)
		if n%2 == 1 {
			r.drop(of)
		}
	}
	r.inUse()[1].setEnd(event.Expired, "too long")
	r.noteID(10)
	if err := r.close(); err != nil {
		t.Fatal(err)
	}
	again, err := adoptRecords(linux.NewFD(dup))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = again.close() }()
	used := again.inUse()
	if len(used) != 5 || again.head.lastID != 10 || len(again.free) != int(again.head.used)-5 {
		t.Fatalf("%d records, %d free of %d, last ID %d", len(used), len(again.free), again.head.used, again.head.lastID)
	}
	for _, of := range used {
		if got := of.target.addrPort(loopback); got != places[(of.id-1)%4] {
			t.Errorf("hold %d is on %v", of.id, got)
		}
		if recordWays[of.way] != event.Early || !of.has(beganTold) || of.has(performing) || of.clientName() != "client" {
			t.Errorf("it has %+v", of)
		}
		if end := recordEnds[of.end]; (end != "") != (of.why() == "too long") {
			t.Errorf("it ended %q: %q", end, of.why())
		}
	}
}

// TestNoRecords: without a keeper there are none, which is no special case.
func TestNoRecords(t *testing.T) {
	var r *records
	of := r.take(record{id: 1})
	of.set(beganTold)
	of.setWay(event.Kept)
	of.setEnd(event.Released, "")
	r.noteID(1)
	if of != nil || of.has(beganTold) || r.inUse() != nil || r.close() != nil {
		t.Error("it has some")
	}
	r.drop(of)
}

func BenchmarkRecord(b *testing.B) {
	r, err := newRecords()
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = r.close() }()
	b.ReportAllocs()
	for b.Loop() {
		r.drop(r.take(record{id: 1}))
	}
}

func BenchmarkLedger(b *testing.B) {
	l := ledger(b.TempDir())
	if dir, err := os.MkdirTemp("/dev/shm", "upall-"); err == nil {
		defer func() { _ = os.RemoveAll(dir) }()
		l = ledger(dir) // in memory, as it is to be
	}
	p := &page{Metadata: "upall:0123456789", Listens: []listening{{At: netip.MustParseAddrPort("10.0.0.1:80")}}}
	for b.Loop() {
		if err := l.write("benchmark", p); err != nil {
			b.Fatal(err)
		}
	}
}
