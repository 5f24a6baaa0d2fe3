// Package testenv says what a test needs of its machine, and cleans up after it.
//
// Use: a test that needs a capability calls a Need function first; it probes
// for the real thing and skips with a reason. With UPALL_TEST_REQUIRE=all in
// the environment the test fails instead, so that no test is lost silently.
// TestMain calls Run, which also looks for leaked goroutines and descriptors.
// Ownership: what a function here creates (a user, a lock) belongs to the test
// that was handed in and is gone when that test ends.
// Promises: nothing here sleeps; waiting is for a fact, with a deadline. No
// product package may import it; internal/repotest enforces that.
// Tests: the decisions are tested with a recording testing.TB, the probes for
// real, as root and as an ordinary user.
package testenv
