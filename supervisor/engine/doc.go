// Package engine runs services as containers of a Docker Engine.
//
// Use: Open connects to the engine; Networks and Containers tell what a plan
// must respect; NewRuntime makes the runtime of one project, whose Create and
// Start bring its containers up. Command passes a command line on to Compose's
// own commands.
// Ownership: images, networks, volumes and containers are made, recreated and
// removed by the Compose SDK, so they are what docker compose makes. This
// package stands between the SDK and the engine's API: there each container
// gets its address, its names and its hand-over (create.go), and starts are not
// put in a row (starter.go).
// Promises: what a container may do is never more than without upall.
// Tests: pure decisions in tables; the rest against real engines.
package engine
