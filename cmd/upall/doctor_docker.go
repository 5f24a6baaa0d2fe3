package main

import (
	"context"

	"upall/supervisor/engine"
)

// engineFacts are what doctor knows of an engine.
type engineFacts struct {
	version         string
	hasListenerPath bool
	notHere         error // why its containers are not on this machine
	notLocal        error // why upall itself cannot look after them
}

// docker looks for the engine that containers would run on.
func docker(ctx context.Context, s engine.Streams, agentMode string) []finding {
	e, err := engine.Open(ctx, s)
	if err != nil {
		return []finding{{"Docker", "services with image or build run in containers", err, "services run as processes without it"}}
	}
	facts := engineFacts{
		version: e.Version(), hasListenerPath: e.HasListenerPath(), notHere: e.NotHere(), notLocal: e.NotLocal(),
	}
	findings := judgeEngine(facts, agentMode)
	if err := e.Close(); err != nil {
		findings = append(findings, finding{"Docker's connection", "it can be closed", err, "see the engine's log"})
	}
	return findings
}

// judgeEngine says what upall can do with an engine, and who would supervise its
// containers.
func judgeEngine(e engineFacts, agentMode string) []finding {
	isAgent, why := wantsAgent(agentMode, e.notLocal)
	f := finding{what: "Docker", use: "engine " + e.version + ", through a shim: setuid programs of containers lose their privilege (no_new_privs)"}
	if e.hasListenerPath {
		f.use = "engine " + e.version + ", hands connects over by itself"
	}
	if !isAgent {
		f.err = e.notLocal
	}
	if f.err != nil {
		f.use = "engine " + e.version + ", but upall cannot hold the connects of its containers"
		f.advice = "have a container of the engine supervise them (--agent always), or run upall as root on the engine's machine"
		return []finding{f}
	}
	place := finding{what: "in place", use: "upall itself supervises containers, because " + why}
	if isAgent {
		place = finding{what: "agent", use: "a container of the engine supervises containers, because " + why}
	}
	return []finding{f, place, {
		"mixed", "processes and containers may be in one project", e.notHere,
		"give the processes a project of their own, or use an engine of root on this machine",
	}}
}
