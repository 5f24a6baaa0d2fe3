package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"

	"upall/internal/event"
	"upall/internal/testenv"
)

// namesCase is a way in which one service reaches another.
type namesCase struct {
	name  string
	file  string
	image string            // what it needs besides busybox; "" = nothing
	held  [][2]string       // client and target of the holds
	fails map[string]string // services that do not end with 0, with what they say
	says  map[string]string // services that end with 0, with what they say
}

const lateServer = "  server: {BOX, command: [/tools/server, -gate, /here/gate]}\n"

var namesCases = []namesCase{
	{
		name: "service name",
		file: "services:\n" + lateServer + `
  client: {BOX, command: [/tools/goclient, server, "7000"]}
`,
		held: [][2]string{{"client", "server"}},
		says: map[string]string{"client": "ok "},
	},
	{
		name: "sidecar connects to its owner",
		file: "services:\n" + lateServer + `
  sidecar: {BOX, network_mode: "service:server", command: [/tools/goclient, 127.0.0.1, "7000"]}
`,
		held: [][2]string{{"sidecar", "server"}},
		says: map[string]string{"sidecar": "ok "},
	},
	{
		name: "owner connects to its sidecar",
		file: `
services:
  owner:  {BOX, command: [/tools/goclient, localhost, "7000"]}
  server: {BOX, network_mode: "service:owner", command: [/tools/server, -gate, /here/gate]}
`,
		held: [][2]string{{"owner", "server"}},
		says: map[string]string{"owner": "ok "},
	},
	{
		name: "another service connects to a sidecar",
		file: `
services:
  owner:  {BOX, command: [sleep, "1000"]}
  server: {BOX, network_mode: "service:owner", command: [/tools/server, -gate, /here/gate]}
  client: {BOX, command: [/tools/goclient, owner, "7000"]}
`,
		held: [][2]string{{"client", "owner"}},
		says: map[string]string{"client": "ok "},
	},
	{
		name:  "all replicas",
		image: "python",
		file: `
services:
  server:  {BOX, scale: 3, command: [/tools/server, -gate, /here/gate]}
  client:  {BOX, command: [sh, -c, "for i in 1 2 3; do /tools/goclient NAME-server-$$i 7000 || exit 1; done"]}
  resolve: {image: "upall-test/python:1", command: [python3, -c, "import socket; print(len(socket.gethostbyname_ex('server')[2]), 'addresses')"]}
`,
		held: [][2]string{{"client", "server"}},
		says: map[string]string{"client": "ok ", "resolve": "3 addresses"},
	},
	{
		name: "aliases and links",
		file: `
services:
  server:      {BOX, command: [/tools/server, -gate, /here/gate], networks: {default: {aliases: [other]}}, hostname: hosted}
  by-alias:    {BOX, command: [/tools/goclient, other, "7000"]}
  by-link:     {BOX, command: [/tools/goclient, linked, "7000"], links: ["server:linked"]}
  by-hostname: {BOX, command: [/tools/goclient, hosted, "7000"]}
`,
		held: [][2]string{{"by-alias", "server"}, {"by-link", "server"}, {"by-hostname", "server"}},
		says: map[string]string{"by-alias": "ok ", "by-link": "ok ", "by-hostname": "ok "},
	},
	{
		name: "container name",
		file: `
services:
  server: {BOX, container_name: NAME-chosen, command: [/tools/server, -gate, /here/gate]}
  client: {BOX, command: [/tools/goclient, NAME-chosen, "7000"]}
`,
		held: [][2]string{{"client", "server"}},
		says: map[string]string{"client": "ok "},
	},
	{
		name: "networks",
		file: `
services:
  server:   {BOX, command: [/tools/server, -gate, /here/gate], networks: [back]}
  both:     {BOX, command: [/tools/goclient, server, "7000"], networks: [front, back]}
  stranger: {BOX, command: [sh, -c, "grep -w server /etc/hosts || /tools/goclient server. 7000"], networks: [front]}
networks: {front: {}, back: {}}
`,
		held:  [][2]string{{"both", "server"}},
		says:  map[string]string{"both": "ok "},
		fails: map[string]string{"stranger": "lookup server"},
	},
	{
		name: "fixed address",
		file: `
services:
  server:     {BOX, command: [/tools/server, -gate, /here/gate], networks: {fixed: {ipv4_address: SUBNET.77}}}
  by-name:    {BOX, command: [/tools/goclient, server, "7000"], networks: [fixed]}
  by-address: {BOX, command: [/tools/goclient, SUBNET.77, "7000"], networks: [fixed]}
networks: {fixed: {ipam: {config: [{subnet: SUBNET.0/24}]}}}
`,
		held: [][2]string{{"by-name", "server"}, {"by-address", "server"}},
		says: map[string]string{"by-name": "ok ", "by-address": "ok "},
	},
	{
		name: "host network",
		file: "services:\n" + lateServer + `
  client: {BOX, network_mode: host, command: [/tools/goclient, server, "7000"]}
`,
		held: [][2]string{{"client", "server"}},
		says: map[string]string{"client": "ok "},
	},
	{
		name: "no network",
		file: "services:\n" + lateServer + `
  client: {BOX, command: [/tools/goclient, server, "7000"]}
  alone:  {BOX, network_mode: none, command: [sh, -c, "ls /sys/class/net"]}
  lost:   {BOX, network_mode: none, command: [/tools/goclient, server, "7000"]}
`,
		held:  [][2]string{{"client", "server"}},
		says:  map[string]string{"client": "ok ", "alone": "lo"},
		fails: map[string]string{"lost": "lookup server"},
	},
	{
		name: "pid and ipc of a service",
		file: `
services:
  server: {BOX, ipc: shareable, command: [/tools/server, -gate, /here/gate]}
  client: {BOX, pid: "service:server", ipc: "service:server", command: [/tools/goclient, server, "7000"]}
`,
		held: [][2]string{{"client", "server"}},
		says: map[string]string{"client": "ok "},
	},
	{
		name: "own late listener",
		file: `
services:
  server: {BOX, x-upall: {hold: loopback}, command: [sh, -c, "/tools/goclient 127.0.0.1 7000 & /tools/server -gate /here/gate & wait %1"]}
`,
		held: [][2]string{{"server", "server"}},
		says: map[string]string{"server": "ok "},
	},
}

// A service reaches another by each of its names from the first moment, and its
// connect is held until the other listens.
func TestE2EEngineNames(t *testing.T) {
	t.Parallel()
	forEngines(t, func(t *testing.T, e testenv.Engine) {
		for _, test := range namesCases {
			t.Run(test.name, func(t *testing.T) {
				t.Parallel()
				if test.image != "" {
					testenv.NeedImages(t, e, test.image)
				}
				test.run(t, newPodOf(t, e, test.file))
			})
		}
	})
}

func (c namesCase) run(t *testing.T, p *pod) {
	gate := p.gate("gate")
	r := p.up()
	for _, pair := range c.held {
		r.wait(fmt.Sprintf("the hold of %s on %s", pair[0], pair[1]), holdBegan(pair[0], pair[1]))
	}
	gate.open()
	for service, want := range c.says {
		r.allExit(service)
		r.wait("what "+service+" says", said(service, want)) // the engine may hand it on after the end
	}
	for service, want := range c.fails {
		if code := r.waitExit(service); code == 0 {
			t.Errorf("%s ended with code 0, want a failure", service)
		}
		r.wait("what "+service+" says", said(service, want))
	}
	for _, ended := range r.all(ofType(event.HoldEnded)) {
		// Go's dialer tries another address after 300 ms, and gives up what is slower.
		if ended.End != event.Released && ended.End != event.Canceled {
			t.Errorf("the hold of %s on %s was %s (%s), want released", ended.Service, ended.Target, ended.End, ended.Cause)
		}
	}
}

// A network of somebody else serves too. Where its maker gave it no subnet the
// names are the engine's and no connect is held, which a warning says.
func TestE2EEngineExternalNetwork(t *testing.T) {
	t.Parallel()
	forAnEngine(t, func(t *testing.T, e testenv.Engine) {
		t.Run("with subnet", func(t *testing.T) {
			t.Parallel()
			p := podOnExternal(t, e, "--subnet", "SUBNET.0/24")
			server, client := p.gate("gate"), p.gate("client")
			r := p.up()
			client.open()
			r.wait("the hold", holdBegan("client", "server"))
			server.open()
			r.allExit("client")
		})
		t.Run("without subnet", func(t *testing.T) {
			t.Parallel()
			p := podOnExternal(t, e)
			server, client := p.gate("gate"), p.gate("client")
			r := p.up()
			server.open()
			r.wait("the server's listener", said("server", "listening"))
			client.open()
			r.allExit("client")
			r.wait("a warning", func(e event.Event) bool {
				return e.Type == event.Warning && strings.Contains(e.Message, "networks.default: upall can give no addresses in it")
			})
		})
	})
}

// podOnExternal is a client and a server on a network that is made before.
func podOnExternal(t *testing.T, e testenv.Engine, args ...string) *pod {
	t.Helper()
	var network string
	// Before the pod, so that it is removed after it.
	t.Cleanup(func() {
		out, err := exec.Command("docker", "-H", e.Host, "network", "rm", network).CombinedOutput()
		if err != nil {
			t.Errorf("remove the network: %v: %s", err, out)
		}
	})
	p := newPodOf(t, e, `
services:
  server: {BOX, command: [/tools/server, -gate, /here/gate]}
  client: {BOX, command: [sh, -c, "read gate < /here/client; exec /tools/goclient server 7000"]}
networks: {default: {name: NAME-external, external: true}}
`)
	network = p.name + "-external"
	create := []string{"network", "create"}
	for _, arg := range args {
		create = append(create, p.expandBox(arg))
	}
	// The other engine may change the packet filter at the same moment.
	p.eventually(func() error {
		if out := p.finish(p.dockerCommand(append(create, network)...)); out.code != 0 {
			return errors.New(out.stderr)
		}
		return nil
	})
	return p
}

// A published port is reached from the host.
func TestE2EEnginePublishedPort(t *testing.T) {
	t.Parallel()
	forAnEngine(t, func(t *testing.T, e testenv.Engine) {
		p := newPod(t, e, `
  server: {BOX, command: [/tools/server], ports: ["127.0.0.1::7000"]}
`)
		r := p.up()
		r.wait("the server", ofType(event.Ready))
		r.wait("the engine's word for it", startedAs("server"))
		at := strings.TrimSpace(p.run("port", "server", "7000").want(0).stdout)
		conn, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }() // only read
		if _, err := fmt.Fprintln(conn, "ping"); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || line != "pong\n" {
			t.Errorf("the server said %q (%v), want pong", line, err)
		}
	})
}
