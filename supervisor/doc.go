// Package supervisor is the life of a project: starts, restarts, health and stops of
// its services, and what others may know and ask of it.
//
// Use: Serve is the supervisor process of one project. It gets what the project is
// to be over the control API (supervisor/control), and goes on with what an earlier
// process has left in the Keep if that one was killed.
// Ownership: one goroutine, the loop, owns the machine and all that was opened for
// the project; others give it inputs. The board has what is known outside.
// Promises: what was decided is on record before it is done. An error of Serve means
// that there is no supervisor; when Serve returns nothing of the project runs.
// Tests: the machine is pure: inputs in, lines of text out; docs/gates.md is read by
// one. Serve runs real processes; internal/e2e kills it while services connect.
package supervisor
