package process

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"upall/internal/lines"
	"upall/internal/linux"
)

// journals are the output of a program that was read and not told yet, in memory
// that outlives this process: what is taken out of a pipe is gone from the
// kernel, so it is read into here directly. A crash may tell one line twice, and
// loses none.
//
//	a journal:  | state | ... up to a page | data                              |
//	data:         told, or zero | to be told | zero: room for the next read
//	              0             start        end
type journals struct {
	mem            []byte
	stdout, stderr journal
}

type journal struct {
	state *atomic.Uint64 // a span
	data  []byte
}

const (
	journalHeader = 4096
	// journalData has room for a line of the largest size in front of another, so
	// that moving one to the front never overlaps.
	journalData = 2 * lines.Max
	journalSize = journalHeader + journalData
)

// newJournals makes the memory; fd is what it can be mapped by again.
func newJournals() (fd *linux.FD, err error) {
	n, err := unix.MemfdCreate("upall-output", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	fd = linux.NewFD(n)
	if err := unix.Ftruncate(n, 2*journalSize); err != nil {
		return nil, errors.Join(os.NewSyscallError("ftruncate", err), fd.Close())
	}
	return fd, nil
}

// mapJournals maps the memory, whose descriptor stays the caller's, and finds out
// how far an earlier process has come.
func mapJournals(fd *linux.FD) (*journals, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd.Int(), &st); err != nil {
		return nil, os.NewSyscallError("fstat", err)
	}
	if st.Size != 2*journalSize {
		return nil, fmt.Errorf("map the output: it has %d bytes, not %d", st.Size, 2*journalSize)
	}
	mem, err := unix.Mmap(fd.Int(), 0, 2*journalSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, os.NewSyscallError("mmap", err)
	}
	return &journals{
		mem: mem, stdout: newJournal(mem[:journalSize], written(fd, 0)), stderr: newJournal(mem[journalSize:], written(fd, journalSize)),
	}, nil
}

// written returns how much of the data of the journal at offset has memory:
// looking at the rest would make the kernel give it some.
func written(fd *linux.FD, offset int64) int {
	const seekHole = 4 // lseek(2)
	data := offset + journalHeader
	hole, err := unix.Seek(fd.Int(), data, seekHole)
	if err != nil {
		return journalData
	}
	return min(int(hole-data), journalData)
}

func (j *journals) close() error { return os.NewSyscallError("munmap", unix.Munmap(j.mem)) }

func newJournal(mem []byte, written int) journal {
	j := journal{state: (*atomic.Uint64)(unsafe.Pointer(&mem[0])), data: mem[journalHeader:]}
	j.recover(written)
	return j
}

// span is a state: what of data is to be told, and up to where data must be
// zeroed before more is read.
type span struct{ start, end, dirty int }

const spanBits = 20

func (j *journal) load() span {
	word := j.state.Load()
	at := func(n int) int { return int(word >> (n * spanBits) & (1<<spanBits - 1)) }
	return span{at(0), at(1), at(2)}
}

func (j *journal) store(s span) {
	j.state.Store(uint64(s.start) | uint64(s.end)<<spanBits | uint64(s.dirty)<<(2*spanBits))
}

// recover finds what was read last and not counted: reads go to where all is
// zero, and text has no zeros. Only the first bytes of data were ever written.
func (j *journal) recover(written int) {
	s := j.load()
	if s.start > s.end || s.end > len(j.data) || s.dirty > len(j.data) {
		s = span{dirty: written} // not of ours
	}
	switch {
	case s.dirty > 0:
		clear(j.data[s.end:max(s.end, s.dirty)])
	case written > s.end:
		s.end += len(bytes.TrimRight(j.data[s.end:written], "\x00"))
	}
	j.store(span{start: s.start, end: s.end})
}

// read tells each line of r, without its end, until r ends. A line that is longer
// than lines.Max comes in pieces.
func (j *journal) read(r io.Reader, tell func(line string)) {
	for {
		s := j.tell(tell)
		n, err := r.Read(j.data[s.end:])
		s.end += n
		j.store(s)
		if err != nil {
			j.flush(j.tell(tell), tell)
			return
		}
	}
}

// tell tells all whole lines and makes room.
func (j *journal) tell(tell func(line string)) span {
	s := j.load()
	for {
		rest := j.data[s.start:s.end]
		size, after := bytes.IndexByte(rest, '\n'), 1
		if size < 0 || size >= lines.Max {
			if len(rest) < lines.Max {
				return j.makeRoom(s)
			}
			size, after = lines.Max, 0
		}
		tell(string(rest[:size]))
		s.start += size + after
		j.store(s)
	}
}

// flush tells a last line without an end.
func (j *journal) flush(s span, tell func(line string)) {
	if s.start < s.end {
		tell(string(j.data[s.start:s.end]))
		s.start = s.end
		j.store(s)
	}
}

// makeRoom returns a span with room behind it. At each instruction of it, what is
// to be told is whole and what is behind it is known to be zero or not.
func (j *journal) makeRoom(s span) span {
	if s.end == 0 || s.start < s.end && s.end < len(j.data) {
		return s
	}
	front := copy(j.data, j.data[s.start:s.end])
	j.store(span{end: front, dirty: s.end})
	clear(j.data[front:s.end])
	s = span{end: front}
	j.store(s)
	return s
}
