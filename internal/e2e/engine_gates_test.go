package e2e

import (
	"strings"
	"testing"

	"upall/internal/event"
	"upall/internal/testenv"
)

// A client is held while its server's container fails and is started again, as
// its policy says.
func TestE2EEngineCrashLoop(t *testing.T) {
	t.Parallel()
	forAnEngine(t, func(t *testing.T, e testenv.Engine) {
		p := newPod(t, e, `
  server: {BOX, restart: on-failure, command: [sh, -c, "echo try >> /here/tries; test $$(wc -l < /here/tries) -ge 4 || exit 3; exec /tools/server"]}
  client: {BOX, command: [/tools/goclient, server, "7000"]}
`)
		r := p.up()
		r.allExit("client")
		if n := len(r.all(startedAs("server"))); n != 4 {
			t.Errorf("the server was started %d times, want 4", n)
		}
		if n := len(r.all(holdBegan("client", "server"))); n != 1 {
			t.Errorf("the client was held %d times, want once", n)
		}
		r.interrupt()
	})
}

// A client of a server that has ended for good is refused at once, with the cause.
func TestE2EEngineServerEnds(t *testing.T) {
	t.Parallel()
	forAnEngine(t, func(t *testing.T, e testenv.Engine) {
		p := newPod(t, e, `
  server: {BOX, command: [sh, -c, "read gate < /here/gate; exit 3"]}
  client: {BOX, command: [/tools/goclient, server, "7000"]}
`)
		gate := p.gate("gate")
		r := p.up()
		r.wait("the hold", holdBegan("client", "server"))
		gate.open()
		if ended := r.wait("the end of the hold", holdEnded("client", "server")); ended.End != event.Refused || !strings.Contains(ended.Cause, "exited with code 3") {
			t.Errorf("the hold was %s (%s), want refused with the server's exit code", ended.End, ended.Cause)
		}
		r.waitExit("client")
		r.wait("the refused connect", said("client", "connection refused"))
		if code := r.end(); code != 3 {
			t.Errorf("upall ended with code %d, want 3", code)
		}
	})
}

// What depends on a job that has to end connects, or starts, when it has.
func TestE2EEngineJob(t *testing.T) {
	t.Parallel()
	forEngines(t, func(t *testing.T, e testenv.Engine) {
		p := newPod(t, e, `
  server: {BOX, command: [/tools/server]}
  job:    {BOX2, command: [sh, -c, "read gate < /here/gate; echo done > /data/file"], volumes: ["HERE:/here", "data:/data"]}
  client: {BOX2, command: [/tools/goclient, server, "7000"], volumes: ["TOOLS:/tools:ro"], depends_on: {job: {condition: service_completed_successfully}}}
  reader: {BOX2, command: [cat, /data/file], volumes: ["data:/data"], depends_on: {job: {condition: service_completed_successfully}}}
volumes: {data: {}}
`)
		gate := p.gate("gate")
		r := p.up()
		r.wait("the server", ofType(event.Ready))
		r.wait("the hold", holdBegan("client", "server"))
		if n := len(r.all(startedAs("reader"))); n != 0 {
			t.Error("the reader was started before the job had ended")
		}
		gate.open()
		r.allExit("job", "client", "reader")
		r.wait("what the job wrote", said("reader", "done"))
		r.interrupt()
	})
}

// A client on a network with IPv6 is held for each family.
func TestE2EEngineIPv6(t *testing.T) {
	t.Parallel()
	forAnEngine(t, func(t *testing.T, e testenv.Engine) {
		p := newPod(t, e, `
  server: {BOX, command: [/tools/server, -family, dual, -gate, /here/gate]}
  four:   {BOX, command: [sh, -c, "/tools/goclient $$(grep -w server /etc/hosts | grep -v : | head -n 1 | cut -f1) 7000"]}
  six:    {BOX, command: [sh, -c, "/tools/goclient $$(grep -w server /etc/hosts | grep : | head -n 1 | cut -f1) 7000"]}
networks: {default: {enable_ipv6: true}}
`)
		gate := p.gate("gate")
		r := p.up()
		r.wait("the hold over IPv4", holdBegan("four", "server"))
		r.wait("the hold over IPv6", holdBegan("six", "server"))
		gate.open()
		r.allExit("four", "six")
		r.interrupt()
	})
}

// A process reaches a container's published port on the host too, and is held.
func TestE2EEnginePublishedForProcess(t *testing.T) {
	t.Parallel()
	forAnEngine(t, func(t *testing.T, e testenv.Engine) {
		port := freePort(t)
		p := newPod(t, e, `
  server: {BOX, command: [/tools/server, -gate, /here/gate], ports: ["`+port+`:7000"]}
  client: {command: [TOOLS/goclient, 127.0.0.1, "`+port+`"]}
  host:   {BOX, network_mode: host, command: [/tools/goclient, 127.0.0.1, "`+port+`"]}
`)
		gate := p.gate("gate")
		r := p.up()
		r.wait("the hold of the process", holdBegan("client", "server"))
		r.wait("the hold of the container on the host", holdBegan("host", "server"))
		gate.open()
		r.allExit("client", "host")
		r.interrupt()
	})
}
