// Package seccomp speaks seccomp's user notification protocol: it describes the
// filter that a service runs under, takes over the notifyFD that the shim (or
// runc) sends, receives notifications and sends responses.
//
// Use: Compile a Filter once and give the bytes to the shim, or its Rules to what
// writes a container's profile; ListenAgent for hand-overs, then Receive and
// respond on each NotifyFD. To survive this process, give the Agent a Keep, Record
// the Calls of each NotifyFD and keep both descriptors; the next process goes on
// with AdoptCalls and the Agent's entries.
// Ownership: whoever gets a *NotifyFD closes it. Once the last holder has closed
// it, every call that the filter notifies of fails with ENOSYS.
// Promises: Receive names its expected ends; each response is sent once and
// ErrGone says that the caller had already gone. Whatever was received is in the
// Calls until it was answered, and a hand-over is kept until it was attached.
// Tests: the filter runs in a BPF virtual machine and, once, in a real process;
// processes are killed in the middle of calls and hand-overs.
package seccomp
