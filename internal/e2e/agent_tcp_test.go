package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"upall/internal/testenv"
)

// farServices: a client is held until the gate opens, and what is written to steps
// makes lines of output.
const farServices = `
  server:  {BOX, command: [/tools/server, -gate, /here/gate], expose: ["7000"]}
  client:  {BOX, command: [/tools/goclient, server, "7000"]}
  idle:    {BOX, init: true, command: [sleep, "1000"]}
  counter: {BOX, init: true, command: [sh, -c, 'n=0; while read -r step; do n=$$((n+1)); echo line $$n; done < /here/steps']}
`

// farPod is a project on an engine that is only reached through its TCP port, of a
// user who has no rights on this machine.
func farPod(t *testing.T) (*agentPod, *proxy) {
	t.Helper()
	e := oneEngine(t)
	far, proxy := farEngine(t, e)
	p := agentPodIn(emptyProject(t, testenv.OrdinaryUser(t)), far)
	p.env = append(p.env, "UPALL_ENGINE_SOCKET="+strings.TrimPrefix(e.Host, "unix://"))
	p.write("compose.yaml", p.expandBox("services:"+farServices))
	return p, proxy
}

// TestE2EAgentTCP: the engine may be elsewhere.
func TestE2EAgentTCP(t *testing.T) {
	t.Parallel()
	p, _ := farPod(t)
	gate := p.gate("gate")
	p.gate("steps")
	p.run("up", "-d").want(0).says("the project is up")
	p.hasAgent()
	p.clientWaits()
	p.run("ps").want(0).says("client-1", "server:7000 for")
	p.run("why", "client").want(0).says("server")
	gate.open()
	p.are("exited", "client")
	p.run("wait", "client", "server").want(0)
	p.run("logs", "--no-color", "client").want(0).says("client-1  | ok ")
	p.observesSoon("client server:7000/tcp 1\n")
	p.run("restart", "-t", "0", "server").want(0)
	p.run("exec", "-T", "counter", "/tools/goclient", "server", "7000").want(0).says("ok ")
	p.down()
}

// TestE2EAgentTCPCut: who follows goes on over connections that break, and is told
// everything once.
func TestE2EAgentTCPCut(t *testing.T) {
	t.Parallel()
	const rounds, each = 5, 20
	p, proxy := farPod(t)
	p.gate("gate") // it stays closed: the hold goes on
	steps := p.gate("steps")
	p.run("up", "-d").want(0)
	p.clientWaits()
	events, logs := p.starts("events", "--json"), p.starts("logs", "-f", "--no-log-prefix", "counter")
	p.step(steps, 1)
	logs.has("line 1")
	p.restarts() // so that events has begun, which nothing else says
	p.eventually(func() error { return events.isAt(p.lastEvent()) })
	for round := range rounds {
		p.step(steps, each/2)
		if n := proxy.cut(); n < 2 {
			t.Errorf("%d connections were there to cut, want those of both commands", n)
		}
		p.step(steps, each/2)
		p.restarts()
		logs.has(fmt.Sprintf("line %d", 1+(round+1)*each))
		p.eventually(func() error { return events.isAt(p.lastEvent()) })
	}
	p.clientWaits()
	var want []string
	for n := range 1 + rounds*each {
		want = append(want, fmt.Sprintf("line %d", n+1))
	}
	if got := strings.Split(logs.text(), "\n"); !slices.Equal(got, want) {
		t.Errorf("logs -f has printed %q, want lines 1 to %d", got, len(want))
	}
	all := p.numbers() // first: more may come
	var told []uint64
	p.eventually(func() error {
		last := all[len(all)-1]
		told = events.numbers()
		if n := slices.Index(told, last); n >= 0 {
			told = told[:n+1]
			return nil
		}
		return fmt.Errorf("event %d is not told", last)
	})
	if at := slices.Index(all, told[0]); at < 0 || !slices.Equal(told, all[at:]) {
		t.Errorf("events has told %v, want the end of %v", told, all)
	}
	p.down()
	logs.ends()
	events.ends()
}

// restarts restarts a service, which makes events.
func (p *agentPod) restarts() {
	p.t.Helper()
	p.docker("restart", "-t", "0", p.name+"-idle-1")
}

// isElsewhere tells whether the socket that most engines have is another's.
func (p *agentPod) isElsewhere() bool {
	p.t.Helper()
	near := p.dockerCommand("info", "--format", "{{.ID}}")
	near.Env = append(near.Env, "DOCKER_HOST=unix:///var/run/docker.sock")
	near.SysProcAttr = nil // as root
	id, err := near.Output()
	return err == nil && strings.TrimSpace(string(id)) != p.docker("info", "--format", "{{.ID}}")
}

// step has the counter write lines.
func (p *agentPod) step(steps *gate, lines int) {
	p.t.Helper()
	if _, err := io.WriteString(steps.pipe, strings.Repeat("\n", lines)); err != nil {
		p.t.Fatal(err)
	}
}

// has waits for a line.
func (f *follower) has(line string) {
	f.p.t.Helper()
	f.p.eventually(func() error {
		if !slices.Contains(strings.Split(f.text(), "\n"), line) {
			return fmt.Errorf("%q has not printed %q yet", f.command.Args, line)
		}
		return nil
	})
}

// isAt wants the follower to have told the event of a number.
func (f *follower) isAt(number uint64) error {
	told := f.numbers()
	if len(told) == 0 || told[len(told)-1] < number {
		return fmt.Errorf("events has told %v, want it to come to %d", told, number)
	}
	return nil
}

// numbers are those of the events that were printed.
func (f *follower) numbers() []uint64 {
	f.p.t.Helper()
	return numbersIn(f.p.t, strings.NewReader(f.text()))
}

// numbers are those of the events that the supervisor has told, but for output.
func (p *agentPod) numbers() []uint64 {
	p.t.Helper()
	answer, err := p.control().Get("http://upall/v1/events")
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }() // only read
	return numbersIn(p.t, answer.Body)
}

func (p *agentPod) lastEvent() uint64 {
	p.t.Helper()
	all := p.numbers()
	return all[len(all)-1]
}

// numbersIn reads records, each on a line. The last may be just being written.
func numbersIn(t *testing.T, r io.Reader) (all []uint64) {
	t.Helper()
	for lines := json.NewDecoder(r); ; {
		var record struct{ Seq uint64 }
		if err := lines.Decode(&record); err != nil {
			return all
		}
		all = append(all, record.Seq)
	}
}

// TestE2EAgentTCPWrongSocket: where the engine's socket is has to be said if it is not
// where most are.
func TestE2EAgentTCPWrongSocket(t *testing.T) {
	t.Parallel()
	p, _ := farPod(t)
	testenv.Need(t, p.isElsewhere(), "another engine at /var/run/docker.sock")
	p.gate("gate")
	p.gate("steps")
	right := p.env
	p.env = append(slices.Clone(right), "UPALL_ENGINE_SOCKET=")
	out := p.run("up", "-d").want(1)
	if problem := oneLine(ownLines(out.stderr), "", []string{"is not the one at " + p.engine.Host, "UPALL_ENGINE_SOCKET"}); problem != "" {
		t.Error(problem)
	}
	p.down()
	p.env = right
	p.run("up", "-d").want(0)
	p.clientWaits()
	p.down()
}
