package intercept

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"upall/internal/event"
	"upall/internal/linux"
)

// A record is a hold in memory that outlives this process: what nobody else can
// tell of it. It is written when the hold begins and freed when it has ended. A
// killed process leaves its memory as its last instruction did, so the order of
// the stores is all that counts.
type record struct {
	id     uint64 // of the hold, 0: the record is free
	notify uint64 // number of the client's source, 0: the connect is upall's own
	call   uint64 // the notification's ID
	cookie uint64 // of the client's socket, 0: not known
	began  int64  // wall clock, in ns since 1970
	asked  place
	target place
	to     place
	src    place // both ends of its SYN, where that has come
	dst    place
	pid    uint32 // of the thread that called
	tgid   uint32 // of its process, where it may be asked for after the thread's end
	fd     int32
	nr     int32
	way    uint8
	end    uint8
	_      uint8
	flags  uint32
	// cause is of the end, cut if need be.
	causeLength  uint8
	clientLength uint8
	cause        [94]byte
	client       [64]byte // the instance's name
}

// Flags of a record.
const (
	beganTold  = 1 << iota // HoldBegan was emitted
	endTold                // HoldEnded was
	madeNonblk             // O_NONBLOCK is set on the client's socket for a moment
	passing                // no hold: a connect that upall performs at once
	performing             // upall waits for a connect, to answer the call
	synKnown               // src and dst are valid
)

// The ways and ends by their numbers in a record; 0 is none.
var (
	recordWays = [...]event.Way{"", event.Parked, event.Early, event.Kept}
	recordEnds = [...]event.End{"", event.Released, event.Refused, event.Expired, event.Canceled}
)

// place is a netip.AddrPort without pointers.
type place struct {
	addr [16]byte
	port uint16
	kind uint16
}

const (
	noPlace    = iota
	place4     // IPv4
	place6     // IPv6
	placeShare // the loopback of the client's network namespace
)

func placeOf(at netip.AddrPort) place {
	p := place{addr: at.Addr().As16(), port: at.Port()}
	switch {
	case !at.IsValid():
		return place{}
	case at.Addr().Is4():
		p.kind = place4
	case at.Addr().Zone() != "":
		p.kind = placeShare
	default:
		p.kind = place6
	}
	return p
}

// addrPort returns the place as the client of that loopback knows it.
func (p place) addrPort(loopback netip.Addr) netip.AddrPort {
	addr := netip.AddrFrom16(p.addr)
	switch p.kind {
	case noPlace:
		return netip.AddrPort{}
	case place4:
		addr = addr.Unmap()
	case placeShare:
		addr = loopback
	}
	return netip.AddrPortFrom(addr, p.port)
}

// recordsHead stands before the records.
type recordsHead struct {
	version uint64 // sizes are part of it
	lastID  uint64
	used    uint64 // how many records have ever been in use: those behind were never touched
	_       [5]uint64
}

const (
	// maxRecords is more holds than a netfilter queue has room for. A hold beyond
	// ends with this process.
	maxRecords     = 1 << 16
	recordsVersion = 1<<32 | uint64(unsafe.Sizeof(record{}))
	recordsSize    = int(unsafe.Sizeof(recordsHead{})) + maxRecords*int(unsafe.Sizeof(record{}))
)

// records are all records of an Interceptor. A nil one has none: nothing
// survives. They belong to the loop.
type records struct {
	fd   *linux.FD
	mem  []byte
	head *recordsHead
	all  []record
	free []uint32 // those below used that are not in use, newest first
}

// newRecords makes them in memory that lasts as long as a descriptor of it.
func newRecords() (*records, error) {
	n, err := unix.MemfdCreate("upall-holds", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	fd := linux.NewFD(n)
	if err := unix.Ftruncate(n, int64(recordsSize)); err != nil {
		return nil, errors.Join(os.NewSyscallError("ftruncate", err), fd.Close())
	}
	r, err := adoptRecords(fd)
	if err == nil {
		r.head.version = recordsVersion
	}
	return r, err
}

// adoptRecords takes over what an earlier process has made.
func adoptRecords(fd *linux.FD) (*records, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd.Int(), &st); err != nil || st.Size != int64(recordsSize) {
		return nil, errors.Join(errors.New("map the records of holds: they are another version's"), err, fd.Close())
	}
	mem, err := unix.Mmap(fd.Int(), 0, recordsSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, errors.Join(os.NewSyscallError("mmap", err), fd.Close())
	}
	r := &records{fd: fd, mem: mem, head: (*recordsHead)(unsafe.Pointer(&mem[0]))}
	if v := r.head.version; v != 0 && v != recordsVersion {
		return nil, errors.Join(fmt.Errorf("map the records of holds: version %#x is not %#x", v, recordsVersion), r.close())
	}
	r.all = unsafe.Slice((*record)(unsafe.Pointer(&mem[unsafe.Sizeof(recordsHead{})])), maxRecords)
	r.head.used = min(r.head.used, maxRecords)
	for n := uint32(r.head.used); n > 0; n-- {
		if r.all[n-1].id == 0 {
			r.free = append(r.free, n-1)
		}
	}
	return r, nil
}

func (r *records) close() error {
	if r == nil {
		return nil
	}
	return errors.Join(os.NewSyscallError("munmap", unix.Munmap(r.mem)), r.fd.Close())
}

// inUse returns the records that are.
func (r *records) inUse() (used []*record) {
	if r == nil {
		return nil
	}
	for n := range r.all[:r.head.used] {
		if r.all[n].id != 0 {
			used = append(used, &r.all[n])
		}
	}
	return used
}

// take writes a record, nil if all are in use.
func (r *records) take(content record) *record {
	if r == nil {
		return nil
	}
	var to *record
	switch last := len(r.free) - 1; {
	case last >= 0:
		to = &r.all[r.free[last]]
		r.free = r.free[:last]
	case r.head.used < maxRecords:
		to = &r.all[r.head.used]
		atomic.AddUint64(&r.head.used, 1)
	default:
		return nil
	}
	id := content.id
	content.id = 0
	*to = content
	atomic.StoreUint64(&to.id, id) // last: only now it is one
	return to
}

// drop frees a record; nil does nothing.
func (r *records) drop(of *record) {
	if of == nil {
		return
	}
	atomic.StoreUint64(&of.id, 0)
	r.free = append(r.free, uint32((uintptr(unsafe.Pointer(of))-uintptr(unsafe.Pointer(&r.all[0])))/unsafe.Sizeof(record{})))
}

// noteID keeps hold IDs unique over lives.
func (r *records) noteID(id uint64) {
	if r != nil {
		atomic.StoreUint64(&r.head.lastID, id)
	}
}

// The setters do nothing on nil.

func (r *record) set(flag uint32) {
	if r != nil {
		atomic.OrUint32(&r.flags, flag)
	}
}

func (r *record) unset(flag uint32) {
	if r != nil {
		atomic.AndUint32(&r.flags, ^flag)
	}
}

func (r *record) has(flag uint32) bool { return r != nil && atomic.LoadUint32(&r.flags)&flag != 0 }

func (r *record) setWay(way event.Way) {
	for n, w := range recordWays {
		if r != nil && w == way {
			r.way = uint8(n)
		}
	}
}

// setEnd notes how and why the hold ends. The end makes the cause valid.
func (r *record) setEnd(end event.End, cause string) {
	for n, e := range recordEnds {
		if r != nil && e == end {
			r.causeLength = uint8(copy(r.cause[:], cause))
			r.end = uint8(n)
		}
	}
}

func (r *record) why() string { return string(r.cause[:min(int(r.causeLength), len(r.cause))]) }

// setSYN notes both ends of a SYN.
func (r *record) setSYN(at ends) {
	if r == nil {
		return
	}
	r.src, r.dst = placeOf(at.src), placeOf(at.dst)
	r.set(synKnown)
}

func (r *record) setClient(name string) { r.clientLength = uint8(copy(r.client[:], name)) }

func (r *record) clientName() string {
	return string(r.client[:min(int(r.clientLength), len(r.client))])
}

func (r *record) beganAt() time.Time { return time.Unix(0, r.began) }
