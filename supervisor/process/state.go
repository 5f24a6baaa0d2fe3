package process

import (
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// markerVariable names the state directory in the environment of every process
// of a project, by which leftovers are known.
const markerVariable = "UPALL_STATE_DIR"

// State is the state directory of a running project, locked, and its range of
// loopback addresses. Make one with OpenState, or AdoptState.
type State struct {
	dir  string
	lock *os.File
	name *os.File // the socket that holds the range
	keep Keep     // has lock and name too; nil: nobody has
	// Prefix is the project's range of loopback addresses.
	Prefix netip.Prefix
}

// ErrRunning says that the project is up already.
var ErrRunning = errors.New("is up already")

// BaseDir is where state directories are: /run/upall for root, else
// $XDG_RUNTIME_DIR/upall, else a directory of the user's own in the directory
// for temporary files.
func BaseDir(env func(string) string) string {
	switch runtime := env("XDG_RUNTIME_DIR"); {
	case os.Geteuid() == 0:
		return "/run/upall"
	case runtime != "":
		return filepath.Join(runtime, "upall")
	default:
		return filepath.Join(os.TempDir(), "upall-"+strconv.Itoa(os.Geteuid()))
	}
}

// OpenState locks the project's directory below base and removes what an upall
// that was killed has left there, its processes first. pid is the process that
// has the project up for others: SIGTERM to it ends the project (Holder,
// Terminate). It is to have the lock too, as a keeper has after Keep.
func OpenState(base, project string, pid int) (*State, error) {
	lock, err := takeLock(base, project)
	if err != nil {
		return nil, err
	}
	s := &State{dir: filepath.Join(base, project), lock: lock}
	err = s.cleanUp()
	if err == nil {
		err = os.Mkdir(s.dir, 0o711)
	}
	if err == nil {
		err = os.Mkdir(s.Private(), 0o700)
	}
	if err == nil {
		err = s.takeRange(project)
	}
	if err == nil {
		err = s.Name(pid)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// takeLock locks the project's file in base. Its last holder removes it, so what
// was locked may be no longer what the path names, and base may be gone with it:
// then it is tried again.
func takeLock(base, project string) (*os.File, error) {
	path := filepath.Join(base, project+".lock")
	for {
		if err := makePrivate(base); err != nil {
			return nil, err
		}
		lock, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			if _, gone := os.Stat(base); errors.Is(gone, os.ErrNotExist) {
				continue
			}
			return nil, err
		}
		if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			holder, _ := os.ReadFile(path)
			err = fmt.Errorf("project %q %w (pid %s): end it with `upall stop` or `upall down`, then start it anew", project, ErrRunning, bytes.TrimSpace(holder))
			return nil, errors.Join(err, lock.Close())
		}
		if isNamed(lock, path) {
			return lock, nil
		}
		if err := lock.Close(); err != nil {
			return nil, err
		}
	}
}

// isNamed tells whether a path names the open file, which may have been removed.
func isNamed(file *os.File, path string) bool {
	opened, openErr := file.Stat()
	named, err := os.Stat(path)
	return openErr == nil && err == nil && os.SameFile(opened, named)
}

// Name says in the lock file which process has the project up: another one than
// at OpenState when the keeper has died and the supervisor goes on without it.
func (s *State) Name(pid int) error {
	// One write of always the same size: who reads meanwhile sees one or the other.
	_, err := s.lock.WriteAt(fmt.Appendf(nil, "%-10d\n", pid), 0)
	return err
}

// makePrivate makes base, and refuses one that somebody else could have put
// there: it is passed through by services of other users, not written by them.
func makePrivate(base string) error {
	if err := os.MkdirAll(base, 0o711); err != nil {
		return err
	}
	st, err := os.Lstat(base)
	if err != nil {
		return err
	}
	if sys, ok := st.Sys().(*syscall.Stat_t); !st.IsDir() || !ok || int(sys.Uid) != os.Geteuid() || st.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("state directory %s is not this user's own", base)
	}
	return nil
}

// Close removes the directory and gives lock and range up, in the keeper too.
func (s *State) Close() error {
	err := errors.Join(os.RemoveAll(s.dir), os.Remove(s.lock.Name()), s.Leave())
	_ = os.Remove(filepath.Dir(s.dir)) // fails while another project is up
	return err
}

// Leave gives lock and range up and leaves the directory to who reads it before the
// next OpenState.
func (s *State) Leave() error {
	errs := []error{s.lock.Close()}
	if s.name != nil {
		errs = append(errs, s.name.Close())
	}
	if s.keep != nil {
		errs = append(errs, forget(s.keep, StateEntry))
	}
	return errors.Join(errs...)
}

// Private is a directory that no other user can look into.
func (s *State) Private() string { return filepath.Join(s.dir, "private") }

// Socket is the path of the interceptor's socket.
func (s *State) Socket() string { return Socket(filepath.Split(s.dir)) }

// Socket is the path of a project's interceptor's socket, also where there is no State.
func Socket(base, project string) string {
	return filepath.Join(base, project, "private", "agent.sock")
}

// Dir is the state directory. Other users may pass through it, not list it.
func (s *State) Dir() string { return s.dir }

func (s *State) path(name string) string { return filepath.Join(s.dir, "services", name) }

// The ranges: 127.64.0.0/10 in parts of 4096 addresses.
const (
	rangeBits  = 20
	rangeCount = 1 << (rangeBits - 10)
)

// takeRange takes the range that the project's name leads to, or the next that
// is free. An abstract socket holds it: it is gone with those who have it, and in
// sight of every user whose loopback addresses these are.
func (s *State) takeRange(project string) error {
	h := fnv.New32a()
	h.Write(fmt.Appendf(nil, "%d/%s", os.Geteuid(), project))
	first := h.Sum32()
	for n := range uint32(rangeCount) {
		index := (first + n) % rangeCount
		base := netip.AddrFrom4([4]byte{127, byte(64 + index>>4), byte(index << 4), 0})
		name, err := listenAbstract("upall/" + base.String())
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			return fmt.Errorf("take a range of loopback addresses: %w", err)
		}
		s.name, s.Prefix = name, netip.PrefixFrom(base, rangeBits)
		return os.Mkdir(filepath.Join(s.dir, "services"), 0o711)
	}
	return errors.New("take a range of loopback addresses: all are in use")
}

// listenAbstract takes a name of unix(7)'s abstract namespace.
func listenAbstract(name string) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	file := os.NewFile(uintptr(fd), name)
	if err = unix.Bind(fd, &unix.SockaddrUnix{Name: "@" + name}); err == nil {
		err = unix.Listen(fd, 1)
	}
	if err != nil {
		return nil, errors.Join(os.NewSyscallError("bind", err), file.Close())
	}
	return file, nil
}

// AnyRange is a range of the size that OpenState takes, to plan with before.
func AnyRange() netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{127, 64, 0, 0}), rangeBits)
}
