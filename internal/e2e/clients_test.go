package e2e

import (
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

// way is a way of holding, with what makes upall choose it.
type way struct {
	name    string
	want    event.Way // "" = any
	root    bool
	disable string // UPALL_DISABLE
	expose  string // more of the server's definition
}

var ways = []way{
	{"parked", event.Parked, true, "", ""},
	{"kept as root", event.Kept, true, "park,early", ""},
	{"kept", event.Kept, false, "park,early", ""},
	{"early", event.Early, false, "", `, expose: ["7000"]`},
	{"undeclared port", "", false, "", ""}, // kept or early, as the client can be blocked or not
}

// user returns who runs the test, and skips it where the way is not possible.
func (w way) user(t *testing.T) testenv.User {
	t.Helper()
	if w.want == event.Parked {
		testenv.NeedNFQueue(t)
	}
	if w.root {
		return root(t)
	}
	return ordinary(t)
}

func (w way) check(t *testing.T, hold event.Event) {
	t.Helper()
	if w.want != "" && hold.Way != w.want {
		t.Errorf("the connect is held as %q, want %q", hold.Way, w.want)
	}
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
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			p := newProject(t, w.user(t), `
  server: {command: [TOOLS/server, -gate, HERE/gate, -delay, 3s]`+w.expose+`}
  client: {command: `+c.command+`}
`)
			succeedsAtOnce(t, p, w)
		})
	}
}

func succeedsAtOnce(t *testing.T, p *project, w way) {
	gate := p.gate("gate")
	r := p.upEnv([]string{"UPALL_DISABLE=" + w.disable})
	w.check(t, r.wait("the hold", holdBegan("client", "server")))
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
				gate := p.gate("gate")
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

// A client may come between the bind and the listen of its server.
func TestE2EBoundButNotListening(t *testing.T) {
	t.Parallel()
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			p := newProject(t, w.user(t), `
  server: {command: [TOOLS/server, -bind-first, -gate, HERE/gate]`+w.expose+`}
  client: {command: [sh, -c, "read -r gate < HERE/client; exec TOOLS/goclient server 7000"]}
`)
			server, client := p.gate("gate"), p.gate("client")
			r := p.upEnv([]string{"UPALL_DISABLE=" + w.disable})
			r.wait("the bind", said("server", "bound"))
			client.open()
			w.check(t, r.wait("the hold", holdBegan("client", "server")))
			server.open()
			if code := r.waitExit("client"); code != 0 {
				t.Errorf("the client ended with code %d, want 0: %s", code, r.output("client"))
			}
		})
	}
}
