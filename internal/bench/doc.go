// Package bench measures what upall costs and how fast it is, with the real
// binary and real programs. It has nothing but benchmarks.
//
// Use: make bench, or go test -bench . here; docs/performance.md explains the
// numbers.
// Ownership: each benchmark starts and ends its own projects and workers.
// Promises: what is compared is measured in turns, within one run, by the same
// program; times of several processes are of the one clock that they share.
// Tests: none; a worker that fails fails its benchmark.
package bench
