// Package process runs services as plain processes of this host, as root or as
// an ordinary user.
//
// Use: OpenState, Open a Runtime for a plan, Check the services, Start instances,
// Wait for each Program, Close it when its end is recorded. With a Keep all of it
// can be taken up again by a later process: AdoptState, Open, Adopt.
// Ownership: the State owns the project's directory with its lock and the
// project's range of loopback addresses; a Program owns its processes.
// Promises: nothing outlives its Program, and no Program outlives both upall and
// its Keep: a guard process per Program sees to that. Over a crash with a Keep no
// program ends, no line of output is lost, and no exit code. What a killed upall
// left in the state directory is removed by the next OpenState.
// Tests: real programs, and lives of this process that are killed, as root and as
// an ordinary user.
package process
