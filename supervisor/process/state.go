package process

import (
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// markerVariable names the state directory in the environment of every process
// of a project, by which leftovers are known.
const markerVariable = "UPALL_STATE_DIR"

// State is the state directory of a running project, locked, and its range of
// loopback addresses. Make one with OpenState.
type State struct {
	dir  string
	lock *os.File
	name *net.UnixListener // keeps the range
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
// that was killed has left there, its processes first.
func OpenState(base, project string) (*State, error) {
	if err := makePrivate(base); err != nil {
		return nil, err
	}
	s := &State{dir: filepath.Join(base, project)}
	lock, err := takeLock(s.dir+".lock", project)
	if err != nil {
		return nil, err
	}
	s.lock = lock
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
		_, err = fmt.Fprintf(lock, "%d\n", os.Getpid())
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// takeLock locks the file. Its last holder removes it, so what was locked may be
// no longer what the path names: then it is tried again.
func takeLock(path, project string) (*os.File, error) {
	for {
		lock, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return nil, err
		}
		if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			holder, _ := os.ReadFile(path)
			err = fmt.Errorf("project %q %w (pid %s): end it with `upall stop` or `upall down`, then start it anew", project, ErrRunning, bytes.TrimSpace(holder))
			return nil, errors.Join(err, lock.Close())
		}
		locked, lerr := lock.Stat()
		named, nerr := os.Stat(path)
		if lerr == nil && nerr == nil && os.SameFile(locked, named) {
			return lock, nil
		}
		if err := lock.Close(); err != nil {
			return nil, err
		}
	}
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

// Close removes the directory and gives lock and range up.
func (s *State) Close() error {
	errs := []error{os.RemoveAll(s.dir), os.Remove(s.lock.Name()), s.lock.Close()}
	_ = os.Remove(filepath.Dir(s.dir)) // fails while another project is up
	if s.name != nil {
		errs = append(errs, s.name.Close())
	}
	return errors.Join(errs...)
}

// Private is a directory that no other user can look into.
func (s *State) Private() string { return filepath.Join(s.dir, "private") }

// Socket is the path of the interceptor's socket.
func (s *State) Socket() string { return filepath.Join(s.Private(), "agent.sock") }

// Dir is the state directory. Other users may pass through it, not list it.
func (s *State) Dir() string { return s.dir }

func (s *State) path(name string) string { return filepath.Join(s.dir, "services", name) }

func (s *State) cleanUp() error {
	if err := s.lock.Truncate(0); err != nil {
		return err
	}
	if _, err := os.Stat(s.dir); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	killMarked(markerVariable + "=" + s.dir)
	return os.RemoveAll(s.dir)
}

// killMarked kills the processes that have the entry in their environment. Their
// guard should have done so already.
func killMarked(entry string) {
	environs, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range environs {
		env, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(append([]byte{0}, env...), []byte("\x00"+entry+"\x00")) {
			continue
		}
		if pid, err := strconv.Atoi(strings.Split(path, "/")[2]); err == nil && pid != os.Getpid() {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// The ranges: 127.64.0.0/10 in parts of 4096 addresses.
const (
	rangeBits  = 20
	rangeCount = 1 << (rangeBits - 10)
)

// takeRange takes the range that the project's name leads to, or the next that
// is free. An abstract socket holds it: it is gone with this process, and in
// sight of every user whose loopback addresses these are.
func (s *State) takeRange(project string) error {
	h := fnv.New32a()
	h.Write(fmt.Appendf(nil, "%d/%s", os.Geteuid(), project))
	first := h.Sum32()
	for n := range uint32(rangeCount) {
		index := (first + n) % rangeCount
		base := netip.AddrFrom4([4]byte{127, byte(64 + index>>4), byte(index << 4), 0})
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: "@upall/" + base.String(), Net: "unix"})
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			return fmt.Errorf("take a range of loopback addresses: %w", err)
		}
		s.name, s.Prefix = l, netip.PrefixFrom(base, rangeBits)
		return os.Mkdir(filepath.Join(s.dir, "services"), 0o711)
	}
	return errors.New("take a range of loopback addresses: all are in use")
}

// AnyRange is a range of the size that OpenState takes, to plan with before.
func AnyRange() netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{127, 64, 0, 0}), rangeBits)
}
