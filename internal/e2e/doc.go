// Package e2e tests upall from end to end: it builds the real binary and real
// clients, and starts compose projects with them.
//
// Use: go test ./internal/e2e. Tests named TestE2E* run as root, as an ordinary
// user, or as both; -short leaves out what takes minutes. UPALL_E2E_BINARY names
// a binary to test instead of one built from this tree.
// Ownership: each test has a project of its own, whose folder, processes and
// events file are gone when the test ends; a process that is left fails it.
// Promises: a test waits for events of the run (see event.Event), never for
// time. A length of time appears only as an input: how long a server is late,
// or when a test gives up.
// Tests: what a failed run printed and which events it had is in the test's
// output.
package e2e
