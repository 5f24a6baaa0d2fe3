// Package agent runs a project's supervisor in a container of the engine: where
// upall is not root, and where the engine is not on this machine.
//
// Use: Start, or Find one that runs; Dial connects to its control API through a
// stream of the engine, wherever that is. On the engine's own machine Socket is the
// faster way.
// Ownership: the container belongs to the project: its supervisor removes it when it
// ends. Else the engine starts it again. A connection of Dial is the caller's.
// Promises: the image is this executable and nothing else, made through the
// engine's API and named after the executable's digest. The container has the
// capabilities of Capabilities and no others, and no network. One agent a project:
// the container's name says so.
// Tests: the description of the container is compared whole; internal/e2e runs
// projects through agents on real engines, as an ordinary user.
package agent
