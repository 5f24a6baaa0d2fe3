package seccomp

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"upall/internal/linux"
)

// The memory of Calls: a head and slots, each as large as a notification.
//
//	head   magic, and how many slots were ever used: the others' memory is untouched
//	slot   struct seccomp_notif as the kernel has written it; all zero: free
const (
	callsMagic = 0x31_6c_6c_61_63_70_75 // "upcall1"
	maxCalls   = 1 << 14
	callsSize  = (1 + maxCalls) * sizeofNotif
	noSlot     = -1
)

type callsHead struct{ magic, used uint64 }

// Calls are the received and unanswered notifications of one NotifyFD, in memory
// that outlives this process as long as somebody holds its descriptor. The kernel
// does not tell twice what it has told. It writes notifications right into this
// memory, so there is no moment at which one is received and not in it.
//
// A call stays in it until its response was sent, so what a process finds may have
// been answered by the one before: IsValid tells. At most 16,384 calls are kept;
// those above are received as without Calls.
type Calls struct {
	fd   *linux.FD
	left []Notification

	mu   sync.Mutex // guards the rest, and the memory's slots
	mem  []byte     // nil when closed
	head *callsHead
	// Nearly each call is answered before the next one is received, so the newest
	// one is not in the map.
	slot    int    // where the next call is received, or the newest was; noSlot: nowhere
	newest  uint64 // what is in slot; 0: nothing
	waiting map[uint64]int
	free    []int
}

// NewCalls makes memory for the calls of one NotifyFD. It takes a page, and more
// when many calls wait at once.
func NewCalls() (*Calls, error) {
	n, err := unix.MemfdCreate("upall-calls", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	fd := linux.NewFD(n)
	if err := unix.Ftruncate(n, callsSize); err != nil {
		return nil, errors.Join(os.NewSyscallError("ftruncate", err), fd.Close())
	}
	c, err := mapCalls(fd)
	if err != nil {
		return nil, errors.Join(err, fd.Close())
	}
	c.head.magic = callsMagic
	return c, nil
}

// AdoptCalls goes on with what an earlier process has made. It owns fd from now
// on, also when it returns an error.
func AdoptCalls(fd *linux.FD) (*Calls, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd.Int(), &st); err != nil {
		return nil, errors.Join(os.NewSyscallError("fstat", err), fd.Close())
	}
	if st.Size != callsSize {
		return nil, errors.Join(fmt.Errorf("adopt calls: %d bytes of memory, want %d", st.Size, callsSize), fd.Close())
	}
	c, err := mapCalls(fd)
	if err != nil {
		return nil, errors.Join(err, fd.Close())
	}
	if c.head.magic != callsMagic || c.head.used > maxCalls {
		return nil, errors.Join(errors.New("adopt calls: the memory is not of calls"), c.Close())
	}
	c.find()
	return c, nil
}

func mapCalls(fd *linux.FD) (*Calls, error) {
	mem, err := unix.Mmap(fd.Int(), 0, callsSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, os.NewSyscallError("mmap", err)
	}
	return &Calls{
		fd: fd, mem: mem, head: (*callsHead)(unsafe.Pointer(&mem[0])),
		slot: noSlot, waiting: map[uint64]int{},
	}, nil
}

// find sorts the slots into free ones and calls that are left.
func (c *Calls) find() {
	for slot := range int(c.head.used) {
		n := c.at(slot)
		if n.ID == 0 {
			*n = Notification{} // its clearing may have been cut short
			c.free = append(c.free, slot)
			continue
		}
		c.waiting[n.ID] = slot
		c.left = append(c.left, *n)
	}
	slices.SortFunc(c.left, func(a, b Notification) int { return cmp.Compare(a.ID, b.ID) })
}

// Left returns the calls that were there at AdoptCalls, by ID, which is the order
// in which they were made.
func (c *Calls) Left() []Notification { return c.left }

// FD returns the descriptor of the memory, which stays the Calls'.
func (c *Calls) FD() int { return c.fd.Int() }

// Close gives the memory up. Closing again does nothing.
func (c *Calls) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mem == nil {
		return nil
	}
	err := os.NewSyscallError("munmap", unix.Munmap(c.mem))
	c.mem, c.head = nil, nil
	return errors.Join(err, c.fd.Close())
}

func (c *Calls) at(slot int) *Notification {
	return (*Notification)(unsafe.Pointer(&c.mem[(1+slot)*sizeofNotif]))
}

// next returns the memory for the next notification, all zeroes as the kernel
// demands, nil if there is none.
func (c *Calls) next() *Notification {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mem == nil {
		return nil
	}
	if c.newest != 0 { // it is answered later, by somebody else
		c.waiting[c.newest] = c.slot
		c.newest, c.slot = 0, noSlot
	}
	if c.slot == noSlot {
		c.slot = c.lockedTake()
	}
	if c.slot == noSlot {
		return nil
	}
	return c.at(c.slot)
}

func (c *Calls) lockedTake() int {
	if last := len(c.free) - 1; last >= 0 {
		slot := c.free[last]
		c.free = c.free[:last]
		return slot
	}
	if c.head.used == maxCalls {
		return noSlot
	}
	c.head.used++ // before the slot is used: a later process looks no further
	return int(c.head.used) - 1
}

// received says what the kernel has written where next said.
func (c *Calls) received(id uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.newest = id
}

// answered frees the slot of a call that waits no more.
func (c *Calls) answered(id uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mem == nil {
		return
	}
	if id == c.newest {
		if id != 0 {
			*c.at(c.slot) = Notification{}
			c.newest = 0
		}
		return
	}
	if slot, ok := c.waiting[id]; ok {
		*c.at(slot) = Notification{}
		delete(c.waiting, id)
		c.free = append(c.free, slot)
	}
}
