package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestJudgeEngine holds what doctor says of an engine, and of who would supervise
// its containers.
func TestJudgeEngine(t *testing.T) {
	t.Parallel()
	notRoot := errors.New("looking into containers needs root")
	rootless := errors.New("a rootless engine has namespaces of its own")
	elsewhere := errors.New("the Docker Engine at tcp://build:2376 is not on this machine")
	for _, test := range []struct {
		name  string
		facts engineFacts
		mode  string
		want  string
	}{
		{"root", engineFacts{version: "26.1.5", hasListenerPath: true}, agentAuto, `
yes  Docker    engine 26.1.5, hands connects over by itself
yes  in place  upall itself supervises containers, because upall is root on the engine's machine
yes  mixed     processes and containers may be in one project
`},
		{"root, an old engine", engineFacts{version: "20.10.24"}, agentNever, `
yes  Docker    engine 20.10.24, through a shim: setuid programs of containers lose their privilege (no_new_privs)
yes  in place  upall itself supervises containers, because --agent never
yes  mixed     processes and containers may be in one project
`},
		{"an ordinary user", engineFacts{version: "26.1.5", hasListenerPath: true, notLocal: notRoot}, agentAuto, `
yes  Docker  engine 26.1.5, hands connects over by itself
yes  agent   a container of the engine supervises containers, because looking into containers needs root
yes  mixed   processes and containers may be in one project
`},
		{"an ordinary user without an agent", engineFacts{version: "26.1.5", hasListenerPath: true, notLocal: notRoot}, agentNever, `
no  Docker  engine 26.1.5, but upall cannot hold the connects of its containers
              because looking into containers needs root
              have a container of the engine supervise them (--agent always), or run upall as root on the engine's machine
`},
		{"root that asks for an agent", engineFacts{version: "26.1.5", hasListenerPath: true}, agentAlways, `
yes  Docker  engine 26.1.5, hands connects over by itself
yes  agent   a container of the engine supervises containers, because --agent always
yes  mixed   processes and containers may be in one project
`},
		{"elsewhere", engineFacts{version: "29.0.0", hasListenerPath: true, notHere: elsewhere, notLocal: elsewhere}, agentAuto, `
yes  Docker  engine 29.0.0, hands connects over by itself
yes  agent   a container of the engine supervises containers, because the Docker Engine at tcp://build:2376 is not on this machine
no   mixed   processes and containers may be in one project
               because the Docker Engine at tcp://build:2376 is not on this machine
               give the processes a project of their own, or use an engine of root on this machine
`},
		{"rootless", engineFacts{version: "26.1.5", hasListenerPath: true, notHere: rootless, notLocal: rootless}, agentAuto, `
yes  Docker  engine 26.1.5, hands connects over by itself
yes  agent   a container of the engine supervises containers, because a rootless engine has namespaces of its own
no   mixed   processes and containers may be in one project
               because a rootless engine has namespaces of its own
               give the processes a project of their own, or use an engine of root on this machine
`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			if err := report(&out, judgeEngine(test.facts, test.mode)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.TrimPrefix(test.want, "\n"), out.String()); diff != "" {
				t.Errorf("what doctor says (-want +got):\n%s", diff)
			}
		})
	}
}
