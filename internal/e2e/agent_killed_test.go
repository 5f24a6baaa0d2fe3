package e2e

import (
	"fmt"
	"strings"
	"testing"

	"upall/internal/testenv"
)

// lateServices have a client that waits until the gate opens.
const lateServices = `
  server: {BOX, command: [/tools/server, -gate, /here/gate], expose: ["7000"]}
  client: {BOX, command: [/tools/goclient, server, "7000"]}
  idle:   {BOX, init: true, command: [sleep, "1000"]}
`

// TestE2EAgentKilled: an agent's supervisor may die as any, and the whole agent too.
func TestE2EAgentKilled(t *testing.T) {
	t.Parallel()
	forAnEngine(t, func(t *testing.T, e testenv.Engine) {
		for name, test := range map[string]func(p *agentPod){
			"supervisor": supervisorDies,
			"removed":    func(p *agentPod) { agentIsGone(p, "rm", "-f") },
			"killed":     func(p *agentPod) { agentIsGone(p, "kill") },
			"stopped":    agentIsStopped,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				p := newAgentPod(t, e, lateServices)
				test(p)
			})
		}
	})
}

// supervisorDies: its next life is in the same container, and what waits does not
// notice.
func supervisorDies(p *agentPod) {
	gate := p.gate("gate")
	p.run("up", "-d").want(0)
	p.clientWaits()
	agent := p.docker("inspect", "--format", "{{.Id}}", p.agent())
	for life := 1; life <= 3; life++ {
		s, err := p.snapshot()
		if err != nil {
			p.t.Fatal(err)
		}
		kill(p.t, s.SupervisorPID)
		p.until(func(s snapshot) error {
			if s.Life != life+1 {
				return fmt.Errorf("life %d, want %d", s.Life, life+1)
			}
			return nil
		})
		p.clientWaits()
	}
	p.run("ps").want(0).says("client-1", "server:7000 for")
	gate.open()
	p.are("exited", "client")
	p.are("ready", "server", "idle")
	if now := p.docker("inspect", "--format", "{{.Id}}", p.agent()); now != agent {
		p.t.Errorf("the agent is %s, was %s", now, agent)
	}
	p.down()
}

// agentIsGone by a command of the engine, which does not start it again: commands say
// so, and the next up brings all to what it should be.
func agentIsGone(p *agentPod, by ...string) {
	gate := p.gate("gate")
	p.run("up", "-d").want(0)
	p.clientWaits()
	p.docker(append(by, p.agent())...)
	out := p.run("ps", "-a").want(0)
	out.says("server-1", "idle-1", "client-1") // as Compose has it
	for _, word := range []string{"upall: warning: the supervisor of project", "is gone", "idle-1", "`upall up`"} {
		if !strings.Contains(out.stderr, word) {
			p.t.Errorf("ps says %q, want %q in it", out.stderr, word)
		}
	}
	p.run("why").want(1).says("is not up")
	gate.open()
	p.run("up", "-d").want(0)
	p.are("ready", "server", "idle")
	p.are("exited", "client")
	p.run("ps").want(0).says("server-1", "ready")
	p.down()
}

// agentIsStopped: the engine asks it to end, and it ends the project.
func agentIsStopped(p *agentPod) {
	p.gate("gate")
	p.run("up", "-d").want(0)
	p.clientWaits()
	p.docker("stop", p.agent())
	p.eventually(func() error {
		if left := p.agents(); len(left) > 0 {
			return fmt.Errorf("there is %q", left)
		}
		return nil
	})
	if running := p.docker("ps", "--filter", "label=com.docker.compose.project="+p.name, "--format", "{{.Names}}"); running != "" {
		p.t.Errorf("%q run without the agent", running)
	}
	p.down()
}
