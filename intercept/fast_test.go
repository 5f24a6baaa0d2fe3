package intercept

import (
	"net/netip"
	"os"
	"testing"
	"unsafe"

	"upall/intercept/registry"
	"upall/intercept/seccomp"
)

// fastPath is a source of this process and a call that connects to what serves.
func fastPath() (*source, *seccomp.Notification) {
	db := netip.MustParseAddrPort("127.99.0.2:5432")
	i := &Interceptor{}
	r := newRoutes(nil)
	r.project[db.Addr()] = struct{}{}
	r.open[db] = db
	i.routes.Store(r)
	client := &instance{}
	client.view.Store(&Instance{Rewrite: true, Instance: registry.Instance{Addrs: []netip.Addr{netip.MustParseAddr("127.99.0.3")}}})
	sockaddr := &[16]byte{0: 2, 2: 0x15, 3: 0x38, 4: 127, 5: 99, 7: 2}
	n := &seccomp.Notification{PID: uint32(os.Getpid())}
	n.Args[1], n.Args[2] = uint64(uintptr(unsafe.Pointer(sockaddr))), uint64(len(sockaddr))
	keep = sockaddr
	return &source{Interceptor: i, instance: client, seen: map[netip.AddrPort]*tally{db: new(tally)}}, n
}

// keep is where a sockaddr stays reachable while only its address is known.
var keep *[16]byte

func decide(s *source, n *seccomp.Notification) bool {
	target, _, ok := s.readAddr(n, n.Args[1], n.Args[2])
	found := s.routes.Load().find(s.instance, target)
	s.connects(n, found)
	return ok && found.passes
}

func TestFastPathAllocatesNothing(t *testing.T) {
	s, n := fastPath()
	if !decide(s, n) {
		t.Fatal("a connect to what serves does not pass")
	}
	if allocs := testing.AllocsPerRun(100, func() { decide(s, n) }); allocs != 0 {
		t.Errorf("%v allocations, want none", allocs)
	}
}

// A connect to the own loopback is looked at once.
func TestLocalAllocatesNothing(t *testing.T) {
	s, n := fastPath()
	s.isMain, s.local = true, map[uint16]bool{5432: true}
	to := netip.MustParseAddrPort("127.0.0.1:5432")
	if allocs := testing.AllocsPerRun(100, func() { s.connectsLocal(n, to) }); allocs != 0 {
		t.Errorf("%v allocations, want none", allocs)
	}
}

// BenchmarkCount is what counting adds to the fast path.
func BenchmarkCount(b *testing.B) {
	s, n := fastPath()
	target, _, _ := s.readAddr(n, n.Args[1], n.Args[2])
	found := s.routes.Load().find(s.instance, target)
	b.ReportAllocs()
	for b.Loop() {
		s.connects(n, found)
	}
}

func BenchmarkFastPath(b *testing.B) {
	s, n := fastPath()
	b.ReportAllocs()
	for b.Loop() {
		decide(s, n)
	}
}
