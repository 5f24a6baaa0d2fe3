// Package intercept turns notifications into verdicts: it receives the calls of
// the instances that it was told of, asks the registry, and carries the answers
// out by parking, by early listeners, or by keeping a call in its notification.
//
// Use: Open, Add each instance, have it run under a filter whose notifyFD is
// handed to Socket, tell Started (before its program runs) and Ended, Remove it
// when it is of the project no more, Close. Publish tells which of the host's
// ports are a container's.
// Ownership: one goroutine (loop) owns the registry and every hold; one per
// notifyFD receives and answers what needs no decision. Descriptors duplicated
// from clients are closed before the hold that needed them ends. What is open in
// a network namespace (space) is closed with the last notifyFD from there, so
// none is kept alive.
// What must survive this process is in three places: descriptors at Options.Keep,
// received calls and holds (records) in memory that is kept there too, and in the
// ledger what neither they nor the kernel tell. Resume puts it together.
// Promises: each notification gets one response and each hold one end, which is
// told in an event, also over a kill at any instruction; then an event may be told
// twice, with the same hold ID. What cannot be decided continues as without upall. Events
// are emitted in order by the loop; Options.Emit must not block.
// It knows nothing of Compose or of containers, and is no security boundary: a
// program can change an address after it was read.
// Tests: TestKernel* run real clients against a real kernel.
package intercept
