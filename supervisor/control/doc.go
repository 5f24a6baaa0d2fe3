// Package control is how a project that runs is seen and changed from outside:
// HTTP and JSON over a Unix socket. docs/api.md describes it.
//
// Use: the supervisor calls Serve with a Project and a Log; commands and the
// dashboard Dial and call the methods of Client. Log keeps the newest events,
// Output what the services have written.
// Ownership: Serve owns the listener and its connections until it returns; a
// Client owns its connections; an Output owns its files. Each has a Close or a
// context that ends it.
// Promises: who reads never makes who writes wait: a slow reader misses events,
// and is told how many. Only this user and root are served. A Client that
// follows events goes on over a restart of the supervisor.
// Tests: a fake Project behind a real socket; curl runs the examples of the docs.
package control
