// Package process runs services as plain processes of this host, as root or as
// an ordinary user.
//
// Use: Open a Runtime for a plan, Check the services, Start instances, Wait for
// each Program, Close.
// Ownership: the Runtime owns the project's state directory with its lock and
// the project's range of loopback addresses; a Program owns its processes.
// Promises: nothing outlives its Program, also when upall is killed: a guard
// process per Program sees to that. What a killed upall left in the state
// directory is removed by the next Open.
// Tests: real programs, as root and as an ordinary user.
package process
