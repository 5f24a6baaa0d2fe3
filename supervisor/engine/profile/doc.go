// Package profile merges seccomp profiles of containers: what the container
// would have had without upall, and the calls that upall is notified of.
//
// Use: Builtin, Unconfined, Parse, EngineDefault and Choose give the Base of a
// container; Merge returns the JSON for its security option seccomp.
// Ownership: values only; a Base is never changed.
// Promises: what the base denies stays denied, with any argument. When Merge
// fails, the container can still run with the base itself, unseen by upall.
// A container with such a profile needs the listener: without it the runtime
// refuses its start and every exec in it.
// Tests: both profiles are compiled as runc does it and compared, call by call,
// in a BPF virtual machine; and with a program in real containers.
package profile
