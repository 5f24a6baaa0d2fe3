// Package park holds marked TCP SYNs of one network namespace in a netfilter
// queue until somebody decides about them. To the client a parked connect is a
// slow connect: poll, signals, SO_SNDTIMEO and close are the kernel's own.
//
// Use: Open a Parker, set the socket mark MarkFor(old) and TCP_SYNCNT on a
// client's socket before it connects, and answer each Packet that Handle gets
// with Accept, Refuse or Drop. A mark that is set parks; all else passes.
// Several Parkers in one network namespace each see all marked SYNs, one after
// the other: accept at once what is not yours.
// To survive this process, keep duplicates of its Descriptors elsewhere; the next
// process goes on with Adopt.
// Ownership: a Parker owns its nftables tables, its queue and one goroutine,
// which calls Handle and which Close waits for. Its sockets keep the network
// namespace alive, so close it when the last service in there is gone.
// Promises: packets come in the order in which the kernel queued them. Nothing
// is lost for an application when this process dies: the kernel removes the
// tables with their owner (Linux 5.12), and a queue without a reader lets new
// SYNs pass. While somebody holds duplicates all waits instead, and comes once to
// who adopts it. A packet has no verdict until one is given; a verdict on a packet
// that is gone is not an error. One connect may come again with a new ID, even
// after a verdict, because the kernel drops all queued packets of a network
// namespace whenever any netfilter hook in it goes away: the newest ID counts.
// Tests: TestKernel* run for real in network namespaces of their own; decoding
// and encoding are pure and fuzzed.
package park
