package process

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// lockInterval is between looks at a lock that somebody else has.
const lockInterval = 20 * time.Millisecond

// LockStart waits until no other process of the user is between starting the
// project's supervisor elsewhere and being told of it. It keeps others from that
// until unlock.
func LockStart(ctx context.Context, base, project string) (unlock func(), err error) {
	path := filepath.Join(base, project+".starting")
	again := time.NewTicker(lockInterval)
	defer again.Stop()
	for {
		lock, err := tryLock(base, path)
		if err != nil {
			return nil, err
		}
		if lock != nil {
			return func() {
				_, _ = os.Remove(path), lock.Close()
				_ = os.Remove(base) // fails while it is used
			}, nil
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// tryLock locks a file, nil if somebody else has it, or has just removed it.
func tryLock(base, path string) (*os.File, error) {
	if err := makePrivate(base); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil //nolint:nilnil // base was removed: it is not locked
	}
	if err != nil {
		return nil, err
	}
	if unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil && isNamed(lock, path) {
		return lock, nil
	}
	return nil, lock.Close()
}
