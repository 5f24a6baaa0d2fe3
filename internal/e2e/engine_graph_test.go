package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"upall/internal/event"
	"upall/internal/testenv"
)

// graphRuns is how many times in a row the graph has to be the same.
const graphRuns = 3

// observed returns the edges of the newest run as `upall graph` has them: "client
// target:port/protocol count".
func (p *project) observed() (edges []string) {
	p.t.Helper()
	text, err := p.command("graph", "--format", "json", "--observed").Output()
	if err != nil {
		p.t.Fatal(err)
	}
	var graph struct {
		Edges []struct {
			Client, Target, Protocol string
			Port                     uint16
			Observed                 struct{ Count uint64 }
		}
	}
	if err := json.Unmarshal(text, &graph); err != nil {
		p.t.Fatal(err)
	}
	for _, e := range graph.Edges {
		edges = append(edges, fmt.Sprintf("%s %s:%d/%s %d", e.Client, e.Target, e.Port, e.Protocol, e.Observed.Count))
	}
	slices.Sort(edges) // the host and what is outside have a colon in their IDs
	return edges
}

func (p *project) observes(want string) {
	p.t.Helper()
	edges := slices.Sorted(strings.Lines(strings.TrimLeft(want, "\n")))
	if got := p.observed(); strings.Join(got, "\n")+"\n" != strings.Join(edges, "") {
		p.t.Errorf("edges:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(edges, ""))
	}
}

// TestE2EEngineGraph: what is observed is what happens, connect by connect: over
// IPv4 and IPv6, with replicas and in shared network namespaces.
func TestE2EEngineGraph(t *testing.T) {
	t.Parallel()
	forAnEngine(t, func(t *testing.T, e testenv.Engine) {
		p := newPodOf(t, e, graphFile)
		for range graphRuns {
			r := p.up()
			for _, client := range []string{"both", "four", "local", "six", "user"} {
				if ended := r.wait("the end of "+client, exited(client)); ended.Code != 0 {
					t.Errorf("%s ended with code %d", client, ended.Code)
				}
			}
			r.interrupt()
			p.observes(graphEdges)
		}
	})
}

const graphFile = `
services:
  server: {BOX, command: [/tools/server, -family, dual, -delay, 1s], networks: [default, six]}
  web:    {BOX, scale: 2, command: [sh, -c, "/tools/goclient server 7000 && exec /tools/server -port 7001"]}
  four:   {BOX, command: [/tools/goclient, server, "7000"]}
  six:    {BOX, networks: [six], command: [sh, -c, "exec /tools/goclient $$(awk '$$1 ~ /:/ && /server/ {print $$1; exit}' /etc/hosts) 7000"]}
  owner:  {BOX, command: [sleep, "1000"]}
  side:   {BOX, network_mode: "service:owner", command: [/tools/server, -port, "7002", -delay, 1s]}
  local:  {BOX, network_mode: "service:owner", command: [/tools/goclient, 127.0.0.1, "7002"]}
  user:   {BOX, command: [/tools/goclient, owner, "7002"]}
  both:   {BOX, command: [sh, -c, "/tools/goclient web 7001 && for i in 1 2 3; do /tools/goclient server 7000 || exit 1; done"]}
networks: {six: {enable_ipv6: true}}
`

const graphEdges = `
both server:7000/tcp 3
both web:7001/tcp 1
four server:7000/tcp 1
local side:7002/tcp 1
six server:7000/tcp 1
user side:7002/tcp 1
web server:7000/tcp 2
`

// connectOf is the first connect of a service to another that went on.
func connectOf(client, target string) match {
	return func(e event.Event) bool {
		return e.Type == event.Connected && e.Service == client && e.Target == target
	}
}

// TestE2EEngineGraphStack: the same for real servers and clients.
func TestE2EEngineGraphStack(t *testing.T) {
	t.Parallel()
	forEngines(t, func(t *testing.T, e testenv.Engine) {
		p := stackPod(t, e)
		for range graphRuns {
			r := p.up()
			r.wait("the end of check", exited("check"))
			r.wait("the connect of worker", connectOf("worker", "api"))
			r.interrupt()
			p.observes(`
api postgres:5432/tcp 1
api redis:6379/tcp 1
check nginx:80/tcp 1
nginx api:8080/tcp 1
worker api:8080/tcp 1
worker redis:6379/tcp 1
`)
		}
	})
}

// TestE2EGraph: the same for processes, and from the host to a published port.
func TestE2EGraph(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	p := newProject(t, root(t), `
  server: {command: [TOOLS/server, -delay, 1s], ports: ["127.0.0.1:`+port+`:7000"]}
  web:    {scale: 2, command: [sh, -c, "TOOLS/goclient server 7000 && exec TOOLS/server -port 7001"], expose: ["7001"]}
  both:   {command: [sh, -c, "TOOLS/goclient web 7001 && for i in 1 2 3; do TOOLS/goclient server 7000 || exit 1; done"]}
`)
	r := p.up()
	r.wait("the end of both", exited("both"))
	for range 2 {
		conn, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fprintln(conn, "ping"); err != nil {
			t.Error(err)
		}
		if answer, err := bufio.NewReader(conn).ReadString('\n'); err != nil || answer != "pong\n" {
			t.Errorf("answer %q, %v", answer, err)
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
	r.interrupt()
	p.observes(`
both server:7000/tcp 3
both web:7001/tcp 1
host: server:7000/tcp 2
web server:7000/tcp 2
`)
}

// TestE2EEngineGraphOutside: what leaves the project is seen too, but for how a
// resolver tries addresses.
func TestE2EEngineGraphOutside(t *testing.T) {
	t.Parallel()
	forAnEngine(t, func(t *testing.T, e testenv.Engine) {
		p := newPodOf(t, e, strings.ReplaceAll(`
services:
  client: {BOX, command: [sh, -c, "read host port < /here/outside && for i in 1 2 3; do nc $$host $$port < /dev/null || exit 1; done"]}
networks: {default: {ipam: {config: [{subnet: IP.0/24, gateway: IP.1}]}}}
`, "IP", "SUBNET"))
		gate := p.gate("outside")
		r := p.up()
		r.wait("the start", startedAs("client"))
		gateway := p.docker("network", "inspect", "--format", "{{(index .IPAM.Config 0).Gateway}}", p.name+"_default")
		outside, err := net.Listen("tcp", net.JoinHostPort(gateway, "0"))
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for {
				conn, err := outside.Accept()
				if err != nil {
					return
				}
				_ = conn.Close() // that is all that the client waits for
			}
		}()
		defer outside.Close() //nolint:errcheck // nobody else has it
		_, port, _ := net.SplitHostPort(outside.Addr().String())
		if _, err := gate.pipe.WriteString(gateway + " " + port + "\n"); err != nil {
			t.Fatal(err)
		}
		r.allExit("client")
		r.end()
		if got, want := p.observed(), "client outside:"+gateway+":"+port+"/tcp 3"; strings.Join(got, "\n") != want {
			t.Errorf("edges %q, want %q", got, want)
		}
	})
}
