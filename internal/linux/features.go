package linux

import (
	"errors"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Feature names something that newer kernels, or privileges, offer.
type Feature string

// The features, with the kernel that brought them.
const (
	PIDFDThread  Feature = "pidfd_thread"  // 6.9: descriptors of a thread
	SyncWakeUp   Feature = "sync_wake_up"  // 6.6: notifications hand over on one CPU
	WaitKillable Feature = "wait_killable" // 5.19: a held call is not interrupted by signals
	NativeQueue  Feature = "native_queue"  // nftables' own queue statement, else xtables'
	TableOwner   Feature = "table_owner"   // 5.12: nftables tables that end with their owner
	Park         Feature = "park"          // hold SYNs in a netfilter queue
	EarlyListen  Feature = "early"         // listen in place of a service that starts
	UserNS       Feature = "userns"        // user namespaces without privilege
)

// Disabled is the set of features that must not be used although they are
// there, so that the paths of older kernels are tested on newer ones.
type Disabled []Feature

// ParseDisabled reads a comma separated list, as in the variable UPALL_DISABLE.
func ParseDisabled(list string) Disabled {
	var d Disabled
	for f := range strings.SplitSeq(list, ",") {
		if f = strings.TrimSpace(f); f != "" {
			d = append(d, Feature(f))
		}
	}
	return d
}

// Has tells whether the feature is disabled.
func (d Disabled) Has(f Feature) bool { return slices.Contains(d, f) }

// HasPIDFDThread tells whether pidfd_open(2) takes threads (Linux 6.9).
func HasPIDFDThread() bool {
	fd, err := unix.PidfdOpen(os.Getpid(), pidfdThread)
	if err != nil {
		return false
	}
	return NewFD(fd).Close() == nil
}

// HasUserNotification says why seccomp user notification with a continued
// response cannot be used, nil where it can (seccomp(2), Linux 5.5).
func HasUserNotification() error {
	// A NULL program gives EFAULT where the flags are known, EINVAL where not.
	if err := probeFilterFlags(unix.SECCOMP_FILTER_FLAG_NEW_LISTENER); err != nil {
		return err
	}
	fd, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		return os.NewSyscallError("pidfd_open", err)
	}
	return NewFD(fd).Close()
}

// HasWaitKillable tells whether a held call can ignore signals (Linux 5.19).
func HasWaitKillable() bool {
	return probeFilterFlags(unix.SECCOMP_FILTER_FLAG_NEW_LISTENER|unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV) == nil
}

func probeFilterFlags(flags uintptr) error {
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, 0)
	if errors.Is(errno, unix.EFAULT) {
		return nil
	}
	return os.NewSyscallError("seccomp", errno)
}
