// Package engine runs services as containers of a Docker Engine.
//
// Use: Open connects to the engine; Survey tells what a plan must respect. Create
// makes the containers of a project. A Runtime, maybe in another process that
// was given the project as text (MarshalProject), starts and stops them; its Watch
// tells what happens to them, its Logs what they have written. Command passes a
// command line on to Compose's own commands.
// Ownership: images, networks, volumes and containers are made, recreated and
// removed by the Compose SDK, so they are what docker compose makes. This
// package stands between the SDK and the engine's API: there each container
// gets its address, its names and its hand-over (create.go), and starts are not
// put in a row (starter.go). A Runtime has a goroutine for each container whose
// output it reads, until Close.
// Promises: what a container may do is never more than without upall. A Watch that
// goes on for another, in a new process or after the engine was lost, misses
// nothing and tells nothing twice; of the output, a line that was being told at a
// kill comes twice.
// Tests: pure decisions in tables; the rest against real engines.
package engine
