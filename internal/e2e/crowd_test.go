package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"upall/internal/testenv"
)

// crowdSize is how many connects are held at once.
const crowdSize = 1000

// maxStraggle is how long after the accept loop was through with everyone the
// last client may still think that it is not connected. A SYN that a full
// accept queue drops comes again after seconds, and twice as late each time.
const maxStraggle = 5 * time.Second

// A thousand connects that are held at once all succeed, also where the
// server's accept queue is short and its accept loop is slow. These tests run
// one by one and beside no other: a short queue is about who comes when.
func TestE2ECrowd(t *testing.T) {
	for name, server := range map[string]string{
		"fast": `-count, "1000"`,
		"slow": `-count, "1000", -backlog, "5", -accept-delay, 2ms`,
	} {
		for kind, threads := range map[string]string{"threads": `-threads, `, "nonblocking": ``} {
			t.Run(name+" "+kind, func(t *testing.T) {
				for _, w := range ways {
					t.Run(w.name, func(t *testing.T) {
						p := newProject(t, w.user(t), `
  server: {command: [TOOLS/server, -gate, HERE/gate, `+server+`]`+w.expose+`}
  crowd:  {command: [TOOLS/crowd, -n, "1000", `+threads+`server, "7000"]}
`)
						runCrowd(t, p, w)
					})
				}
			})
		}
	}
}

func runCrowd(t *testing.T, p *project, w way) {
	p.netNS = w.root // see TestE2EProjectsSideBySide
	gate := p.gate("gate")
	r := p.upEnv([]string{"UPALL_DISABLE=" + w.disable})
	for _, hold := range r.waitN(crowdSize, "the holds", holdBegan("crowd", "server")) {
		w.check(t, hold)
	}
	gate.open()
	allSucceed(t, r)
}

// Holds of one project do not notice that another one ends, though the kernel
// drops all packets that are queued in a network namespace when a netfilter
// hook is removed there. The clients' kernels send those SYNs again all together,
// and a short queue has no room for them.
func TestE2EProjectsSideBySide(t *testing.T) {
	t.Parallel()
	testenv.NeedNFQueue(t)
	user := root(t)
	staying := newProject(t, user, `
  server: {command: [TOOLS/server, -gate, HERE/gate, -count, "1000", -backlog, "5", -accept-delay, 2ms]}
  crowd:  {command: [TOOLS/crowd, -n, "1000", server, "7000"]}
`)
	gate := staying.gate("gate")
	r := staying.up()
	r.waitN(crowdSize, "the holds", holdBegan("crowd", "server"))

	passing := newProject(t, user, `
  server: {command: [TOOLS/server, -gate, HERE/gate]}
  client: {command: [TOOLS/goclient, server, "7000"]}
`)
	other := passing.gate("gate")
	p := passing.up()
	p.wait("the other project's hold", holdBegan("client", "server"))
	other.open()
	if code := p.waitExit("client"); code != 0 {
		t.Errorf("the other project's client ended with code %d, want 0", code)
	}
	p.interrupt()

	gate.open()
	allSucceed(t, r)
}

func allSucceed(t *testing.T, r *run) {
	t.Helper()
	if code := r.waitExit("crowd"); code != 0 {
		t.Errorf("the crowd ended with code %d, want 0", code)
	}
	crowd, server := r.output("crowd"), r.output("server")
	var connections, failures int
	var took, last, began, through int64
	if _, err := fmt.Sscanf(crowd, "connections=%d failures=%d last_connect_ms=%d last_connect_unix_ms=%d", &connections, &failures, &took, &last); err != nil {
		t.Fatalf("read what the crowd said, %q: %v", crowd, err)
	}
	if failures != 0 || connections != crowdSize {
		t.Errorf("the crowd said %q, want no failures", crowd)
	}
	accepted := crowdSize
	if _, err := fmt.Sscanf(strings.ReplaceAll(server, "\n", " "), "listening unix_ms=%d accepted=%d unix_ms=%d", &began, &accepted, &through); err != nil {
		t.Fatalf("read what the server said, %q: %v", server, err)
	}
	t.Logf("the accept loop took %d ms; the last client was connected %d ms after its start", through-began, last-began)
	if straggle := time.Duration(last-through) * time.Millisecond; straggle > maxStraggle {
		t.Errorf("the last client was connected %v after the accept loop was through, want at most %v", straggle, maxStraggle)
	}
}
