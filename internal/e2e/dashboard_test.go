package e2e

import (
	"os"
	"syscall"
	"testing"

	"upall/internal/testenv"
)

// chatter is a service that writes twenty lines and then nothing.
const chatter = `sh, -c, 'for n in $$(seq 20); do echo word $$n of 20; done; exec sleep 1000'`

// TestE2EDashboard is a session of a person, with processes.
func TestE2EDashboard(t *testing.T) {
	t.Parallel()
	p := newProject(t, root(t), `
  client:  {command: [sh, -c, 'TOOLS/goclient server 7000; exec sleep 1000']}
  server:  {command: [TOOLS/server, -gate, HERE/gate], expose: ["7000"]}
  chatter: {command: [`+chatter+`]}
`)
	t.Cleanup(func() {
		p.nothingLeft(stopPatience)
		p.forget()
	})
	session(p)
}

// TestE2EEngineDashboard is the same with containers.
func TestE2EEngineDashboard(t *testing.T) {
	t.Parallel()
	forEngines(t, func(t *testing.T, e testenv.Engine) {
		session(newPod(t, e, `
  client:  {BOX, init: true, command: [sh, -c, '/tools/goclient server 7000; exec sleep 1000']}
  server:  {BOX, command: [/tools/server, -gate, /here/gate], expose: ["7000"]}
  chatter: {BOX, init: true, command: [`+chatter+`]}
`).project)
	})
}

func session(p *project) {
	gate := p.gate("gate")
	x := p.openTerminal(100, 30)
	x.sees("#")
	before := x.settings("before")

	x.runs("$UPALL up")
	x.sees("WHY NOT READY", "server:7000 for", "does not listen yet", "why server is not ready", "for it wait: client")
	gate.open()
	x.sees("3 of 3 ready")
	x.misses("server:7000 for")

	x.keys("3")
	x.sees("word 20 of 20", "logs of all services")
	x.keys("&")
	x.types("word 7 ")
	x.keys("Enter")
	x.sees("word 7 of 20", `with "word 7 "`)
	x.misses("word 20 of 20")
	x.keys("Escape")
	x.sees("word 20 of 20")
	x.keys("/")
	x.types("WORD 9")
	x.keys("Enter")
	x.sees("0 of 0")
	x.keys("Escape")
	x.misses("0 of 0") // else what follows would be one key with it

	x.keys("1", "Down", "Down", "r")
	x.sees("restarted server", "3 of 3 ready")
	x.keys("E")
	x.misses("3 of 3 ready")
	x.runs("grep -q client /etc/hosts && exit 3")
	x.sees("3 of 3 ready", "the shell in server has ended: exit status 3")
	x.keys("d")
	x.sees("goes on in the background", "server-1")
	x.isRestored(before)

	x.runs("$UPALL dash")
	x.sees("3 of 3 ready", "following")
	x.keys("q")
	x.sees("Leave "+p.name, "detach")
	x.keys("s")
	x.sees("is stopped", "#")
	x.isRestored(before)
}

// TestE2EDashboardEnds: however it ends, the terminal is as it was, and the exit code
// says why.
func TestE2EDashboardEnds(t *testing.T) {
	t.Parallel()
	const services = `
  server: {command: [TOOLS/server], expose: ["7000"]}
`
	for name, end := range map[string]struct {
		up   string
		do   func(x *terminal)
		code string
	}{
		"interrupted": {"up", func(x *terminal) {
			x.keys("C-c")
			x.sees("Leave")
			x.keys("C-c")
		}, "130"},
		"terminated": {"up", func(x *terminal) { x.signals(syscall.SIGTERM) }, "143"},
		"hung up":    {"up", func(x *terminal) { x.signals(syscall.SIGHUP) }, "129"},
		"a service exits": {"up --exit-code-from server", func(x *terminal) {
			x.runsBeside("kill", "server")
		}, "137"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProject(t, root(t), services)
			t.Cleanup(func() {
				p.nothingLeft(stopPatience)
				p.forget()
			})
			x := p.openTerminal(80, 24)
			x.sees("#")
			before := x.settings("before")
			x.runs("$UPALL " + end.up + "; echo code $?")
			x.sees("1 of 1 ready")
			end.do(x)
			x.sees("code " + end.code)
			x.isRestored(before)
		})
	}
}

// signals sends the command that runs a signal.
func (x *terminal) signals(s syscall.Signal) {
	x.t.Helper()
	process, err := os.FindProcess(x.child())
	if err == nil {
		err = process.Signal(s)
	}
	if err != nil {
		x.t.Fatal(err)
	}
}

// runsBeside runs a command of upall outside of the terminal.
func (x *terminal) runsBeside(args ...string) {
	x.t.Helper()
	if out, err := x.p.command(args...).CombinedOutput(); err != nil {
		x.t.Errorf("upall %q: %v\n%s", args, err, out)
	}
}

// TestE2EPlain: without a screen there are lines, each of them once.
func TestE2EPlain(t *testing.T) {
	t.Parallel()
	p := newProject(t, root(t), `
  client: {command: [sh, -c, 'TOOLS/goclient server 7000; exec sleep 1000']}
  server: {command: [TOOLS/server, -gate, HERE/gate], expose: ["7000"]}
`)
	t.Cleanup(func() {
		p.nothingLeft(stopPatience)
		p.forget()
	})
	gate := p.gate("gate")
	x := p.openTerminal(100, 30)
	x.runs("$UPALL up -d; $UPALL dash --plain")
	x.sees("client has waited", "for server:7000", "0 of 2 ready")
	gate.open()
	x.sees("server-1 listens on port 7000", "2 of 2 ready")
	x.runsBeside("down")
	x.sees("the project is over")
}
