// Package status tells how each instance of a project fares: its state, what it
// waits for, whether it is ready.
//
// Use: NewTracker for a plan; give Add every event in order and emit what it
// returns; when Next says so, Tick. Waiting decides whether all are ready.
// Ownership: a Tracker belongs to one goroutine; what it returns are copies.
// Promises: pure. The same events and ticks give the same statuses; a Ready
// event comes once per run of an instance. A Tracker that is restored from its
// own View goes on as if nothing had been.
// Tests: tables of events and times.
package status
