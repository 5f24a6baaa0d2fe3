// Package supervisor brings a project up: it starts every service at the same
// moment under the interceptor, restarts and stops them, and reports events.
//
// Use: Up runs a plan until its services have ended; Stop and Kill of a Control
// end it before.
// Ownership: one goroutine feeds the machine, a pure state machine that decides;
// Up owns the runtime, the interceptor and the forwarders, and closes them.
// Promises: when Up returns, nothing of the project runs, and nothing is left in
// its state directory. A service's restart opens its start-up window again.
// Tests: the machine is table-tested; the rest runs end to end.
package supervisor
