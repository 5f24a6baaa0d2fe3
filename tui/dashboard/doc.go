// Package dashboard is the screen that `upall up` opens on a terminal: services,
// edges with their traffic, logs, the timeline and the graph of a project.
//
// Use: New with an API, which is a control.Client, then Run; Plain for who wants
// lines and no screen.
// Ownership: one goroutine has the Model. A source has goroutines of its own, which
// turn the control API into messages; Run ends and waits for them.
// Promises: it does nothing that the command line cannot do. What it keeps has an
// end, and what is dropped is counted and shown. What is drawn depends on the state
// and the size alone, and no text of a service reaches the terminal as a command.
// Run leaves the terminal as it was.
// Tests: goldens of each view from the record of a real run, keys against a fake
// API, and a benchmark of a frame under load; internal/e2e has a real terminal.
package dashboard
