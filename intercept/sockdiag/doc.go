// Package sockdiag asks the kernel about TCP sockets of a network namespace
// (sock_diag(7)): how full a listener's accept queue is, who listens, who connects.
//
// Use: Dial a Conn, then AcceptQueue for one listener, or Listeners and
// Connecting for all; Owner and WhoListens name the process behind a socket.
// Ownership: a Conn owns one netlink socket, which keeps the network namespace
// alive until Close. It starts no goroutine. Methods may be called from any
// goroutine and take turns.
// Promises: an ordinary user may ask everything but the names of processes of
// other users. AcceptQueue is one exact request and allocates nothing. A list
// is no snapshot: sockets may come and go while it is made.
// Tests: with real sockets; encoding and decoding are pure and fuzzed.
package sockdiag
