package e2e

import (
	"testing"

	"upall/internal/event"
	"upall/internal/testenv"
)

// restarts are the ways in which a container starts again.
var restarts = []struct {
	name string
	how  func(p *pod)
}{
	{"by its policy", func(p *pod) { p.docker("exec", "--detach", p.name+"-server-1", "kill", "1") }},
	{"docker restart", func(p *pod) { p.docker("restart", "-t", "1", p.name+"-server-1") }},
	{"upall restart", func(p *pod) { p.run("restart", "-t", "1", "server").want(0) }},
	{"docker kill and start", func(p *pod) {
		p.docker("kill", p.name+"-server-1")
		p.docker("start", p.name+"-server-1")
	}},
}

// A server that starts again has the same address, and none of the connects that
// come meanwhile fails, though it takes half a second to listen.
func TestE2EEngineRestart(t *testing.T) {
	t.Parallel()
	forEngines(t, func(t *testing.T, e testenv.Engine) {
		for _, test := range restarts {
			t.Run(test.name, func(t *testing.T) {
				t.Parallel()
				restartsUnnoticed(t, e, test.how)
			})
		}
	})
}

func restartsUnnoticed(t *testing.T, e testenv.Engine, restart func(p *pod)) {
	p := newPod(t, e, `
  server: {BOX, command: [/tools/server, -delay, 1s], restart: always}
  loop:   {BOX, command: [/tools/loop, "server:7000"]}
`)
	r := p.up()
	r.wait("the listener of the server", said("server", "listening"))
	r.wait("the start of its client", startedAs("loop"))
	address := p.serverAddress()
	for n := 1; n <= 3; n++ {
		before := len(r.all(said("loop", "late")))
		restart(p)
		r.waitN(n+1, "the start of the server", startedAs("server"))
		r.waitN(n+1, "the listener of the server", said("server", "listening"))
		r.waitN(before+1, "a connect that waited", said("loop", "late"))
		if now := p.serverAddress(); now != address {
			t.Errorf("the address is %s after the restart, was %s", now, address)
		}
	}
	if ended := r.all(exited("loop")); len(ended) > 0 {
		t.Errorf("a connect failed: %s", r.output("loop"))
	}
	// Not each start has a hold: a connect of which the network lost the SYN in the
	// server's last moment is tried again by the client's kernel.
	for _, ended := range r.all(holdEnded("loop", "server")) {
		if ended.End != event.Released {
			t.Errorf("a hold was %s (%s), want released", ended.End, ended.Cause)
		}
	}
}

// A container that is made anew has the same address, and so has the network.
func TestE2EEngineRecreate(t *testing.T) {
	t.Parallel()
	forAnEngine(t, func(t *testing.T, e testenv.Engine) {
		p := newPod(t, e, `
  other:  {BOX, command: [sleep, "1000"], init: true}
  server: {BOX, command: [/tools/server], networks: [default, more]}
networks: {more: {}}
`)
		p.run("up", "-d").want(0)
		address, id := p.serverAddress(), p.inspect("server-1", "{{.Id}}")
		for _, test := range []struct {
			before string // the command before up
			args   []string
			isNew  bool
		}{
			{"stop", nil, false},
			{"stop", []string{"--force-recreate"}, true},
			{"down", nil, true},
			{"stop", []string{"--force-recreate", "server"}, true},
		} {
			p.run(test.before, "-t", "0").want(0)
			p.run(append([]string{"up", "-d"}, test.args...)...).want(0)
			if now := p.serverAddress(); now != address {
				t.Errorf("%s, up %v: the addresses are %s, were %s", test.before, test.args, now, address)
			}
			now := p.inspect("server-1", "{{.Id}}")
			if (now != id) != test.isNew {
				t.Errorf("%s, up %v: the container is %s, was %s", test.before, test.args, now, id)
			}
			id = now
		}
	})
}
