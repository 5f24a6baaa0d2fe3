// Package traffic counts the bytes that go over the connections of instances,
// without being in their way: from what the kernel tells of sockets.
//
// Use: New a Meter; Enter each network namespace in which instances run, before they
// connect; Know the endpoints that they connect to; Claim a socket whose client its
// namespace does not tell. Flows gives the totals, as of the newest Sweep.
// Ownership: a Meter owns two sock_diag sockets for each namespace, and one goroutine
// that reads from them now and then. Leave and Close end them.
// Promises: each connection counts once, however short, from both of its ends where
// both are seen: if one was reset the other tells. What the kernel has dropped is told
// once. What is remembered of claims and of ends without another is bounded. Methods
// may be called from any goroutine; all but Sweep return at once.
// Tests: Book is pure, table-tested and fuzzed; a Meter counts real connections.
package traffic
