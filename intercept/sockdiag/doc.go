// Package sockdiag asks the kernel about TCP sockets of a network namespace
// (sock_diag(7)): how full a listener's accept queue is, who listens, who connects,
// and how many bytes went over those that are open and those that are no more.
//
// Use: Dial a Conn, then AcceptQueue for one listener, or Listeners, Connecting and
// Traffic for all; Owner and WhoListens name the process behind a socket. Watch
// gives the last counts of each socket that ends.
// Ownership: a Conn and a Watcher own one netlink socket each, which keeps the
// network namespace alive until Close. They start no goroutine. A Conn's methods may
// be called from any goroutine and take turns.
// Promises: an ordinary user may ask everything but the names of processes of
// other users. AcceptQueue is one exact request and allocates nothing. A list
// is no snapshot: sockets may come and go while it is made. A Watcher gives every
// socket once, or says that it has missed some.
// Tests: with real sockets; encoding and decoding are pure and fuzzed.
package sockdiag
