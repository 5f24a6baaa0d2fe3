package testenv

import (
	"testing"
	"time"
)

// pollInterval is how often Eventually looks. It bounds how late a fact is
// seen, not how long a test takes.
const pollInterval = 2 * time.Millisecond

// Eventually waits until fact returns nil, for limit at most; then it fails
// the test with the last thing that fact said was missing.
func Eventually(t testing.TB, limit time.Duration, fact func() error) {
	t.Helper()
	if err := await(limit, fact); err != nil {
		t.Fatalf("not within %v: %v", limit, err)
	}
}

// await calls fact at once and then at intervals, until it returns nil or the
// limit is over; then it returns what fact last said.
func await(limit time.Duration, fact func() error) error {
	err := fact()
	if err == nil {
		return nil
	}
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	for {
		select {
		case <-ticker.C:
			if err = fact(); err == nil {
				return nil
			}
		case <-deadline.C:
			return err
		}
	}
}
