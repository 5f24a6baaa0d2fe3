package e2e

import (
	"fmt"
	"strings"
	"testing"

	"upall/internal/event"
	"upall/internal/testenv"
)

// client is a program that connects once.
type client struct {
	name    string
	program string // what the machine needs for it; "" = nothing
	source  string // what has to be compiled for it; "" = nothing
	command string // its command in the compose file, a YAML sequence
}

// clients connect to the service server, port 7000.
var clients = []client{
	{name: "go", command: `[TOOLS/goclient, server, "7000"]`},
	{name: "node-net", program: "node", command: `[node, TOOLS/clients/connect.js, server, "7000"]`},
	{name: "node-http", program: "node", command: `[node, TOOLS/clients/http.js, server, "7000"]`},
	{name: "python-blocking", program: "python3", command: `[python3, TOOLS/clients/sockets.py, blocking, server, "7000"]`},
	{name: "python-timeout", program: "python3", command: `[python3, TOOLS/clients/sockets.py, timeout, server, "7000"]`},
	{name: "python-asyncio", program: "python3", command: `[python3, TOOLS/clients/sockets.py, asyncio, server, "7000"]`},
	{name: "java-plain", program: "java", source: "Client", command: `[java, -cp, TOOLS, Client, plain, server, "7000"]`},
	{name: "java-timeout", program: "java", source: "Client", command: `[java, -cp, TOOLS, Client, timeout, server, "7000"]`},
	{name: "java-nio", program: "java", source: "Client", command: `[java, -cp, TOOLS, Client, nio, server, "7000"]`},
	{name: "java-http", program: "java", source: "Client", command: `[java, -cp, TOOLS, Client, http, server, "7000"]`},
	{name: "curl", program: "curl", command: `[curl, -sS, --fail, -w, "ok %{time_total}", "http://server:7000/"]`},
	{name: "c-blocking", source: "connect", command: `[TOOLS/connect, blocking, server, "7000"]`},
	{name: "c-nonblock", source: "connect", command: `[TOOLS/connect, nonblock, server, "7000"]`},
	{name: "c-sndtimeo", source: "connect", command: `[TOOLS/connect, sndtimeo, server, "7000"]`},
	{name: "musl-blocking", source: "connect-musl", command: `[TOOLS/connect-musl, blocking, server, "7000"]`},
	{name: "musl-nonblock", source: "connect-musl", command: `[TOOLS/connect-musl, nonblock, server, "7000"]`},
}

// ways are the ways of holding, each with what makes upall choose it.
var ways = []struct {
	way     event.Way
	root    bool
	disable string // UPALL_DISABLE
	expose  string // more of the server's definition
}{
	{event.Parked, true, "", ""},
	{event.Early, false, "", `, expose: ["7000"]`},
	{event.Kept, false, "", ""}, // a port that is not declared has no early listener
	{event.Kept, true, "park,early", ""},
}

// Every client succeeds at its first connect, though the server listens three
// seconds after the last of them began to connect.
func TestE2EClients(t *testing.T) {
	t.Parallel()
	for _, c := range clients {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if c.program != "" {
				testenv.NeedProgram(t, c.program)
			}
			if c.source != "" {
				needCompiled(t, c.source)
			}
			everyWay(t, c)
		})
	}
}

func everyWay(t *testing.T, c client) {
	for _, way := range ways {
		name, account := fmt.Sprintf("%s as user", way.way), ordinary
		if way.root {
			name, account = fmt.Sprintf("%s as root", way.way), root
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if way.way == event.Parked {
				testenv.NeedNFQueue(t)
			}
			p := newProject(t, account(t), `
  server: {command: [TOOLS/server, -gate, HERE/gate, -delay, 3s]`+way.expose+`}
  client: {command: `+c.command+`}
`)
			succeedsAtOnce(t, p, way.way, way.disable)
		})
	}
}

func succeedsAtOnce(t *testing.T, p *project, way event.Way, disable string) {
	gate := p.gate()
	r := p.upEnv([]string{"UPALL_DISABLE=" + disable})
	hold := r.wait("the hold", holdBegan("client", "server"))
	if hold.Way != way {
		t.Errorf("the connect is %s, want %s", hold.Way, way)
	}
	gate.open()
	if code := r.waitExit("client"); code != 0 {
		t.Errorf("the client ended with code %d, want 0", code)
	}
	if said := r.output("client"); !strings.Contains(said, "ok ") {
		t.Errorf("the client said %q, want ok", said)
	}
	if ended := r.wait("the end of the hold", holdEnded("client", "server")); ended.End != event.Released {
		t.Errorf("the hold was %s (%s), want released", ended.End, ended.Cause)
	}
	if n := len(r.all(holdBegan("client", "server"))); n != 1 {
		t.Errorf("the client was held %d times, want once", n)
	}
}

// A server may listen with any kind of TCP socket.
func TestE2EListeners(t *testing.T) {
	t.Parallel()
	for _, family := range []string{"4", "6", "dual", "mptcp"} {
		t.Run(family, func(t *testing.T) {
			t.Parallel()
			users(t, func(t *testing.T, user testenv.User) {
				p := newProject(t, user, `
  server: {command: [TOOLS/server, -gate, HERE/gate, -family, "`+family+`"]}
  client: {command: [TOOLS/goclient, server, "7000"]}
`)
				gate := p.gate()
				r := p.up()
				r.wait("the hold", holdBegan("client", "server"))
				gate.open()
				if code := r.waitExit("client"); code != 0 {
					t.Errorf("the client ended with code %d, want 0: %s", code, r.output("client"))
				}
			})
		})
	}
}
