// Package linux wraps the system calls that upall needs and that Go's standard
// library does not offer: file descriptors of other processes, their memory,
// socket addresses, and what this kernel can do.
//
// Use: open with the functions that return an *FD, and Close it.
// Ownership: an *FD belongs to the one who opened it; Disown hands it on.
// Promise: errors name the call (os.SyscallError).
// Tests: run against the real kernel; address decoding is pure and fuzzed.
package linux
