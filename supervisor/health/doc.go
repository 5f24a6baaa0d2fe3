// Package health decides from the results of a healthcheck's command whether an
// instance works.
//
// Use: New makes the Check of one run of an instance; Run feeds it with probes
// until its context ends. Tail collects a probe's output.
// Ownership: a Check belongs to one goroutine, which Run is called on; a wake
// channel belongs to the caller, who gives it room for one and never waits.
// Promises: a success is told at once, and looked for more often than Docker
// does, most of all once the instance listens; nothing is unhealthy before Docker
// would say so. One probe at a time; the next one comes no sooner than the last
// one took.
// Tests: the decisions in tables, Run with testing/synctest.
package health
