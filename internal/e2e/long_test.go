package e2e

import (
	"strings"
	"testing"
	"time"

	"upall/internal/testenv"
)

// A parked SYN is retransmitted by nobody and given up by the kernel after
// 135 s, unless upall has raised the limit.
func TestE2ELongHold(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes 150 s")
	}
	needCompiled(t, "connect")
	var runs []*run
	for _, user := range []testenv.User{root(t), ordinary(t)} { // at the same time
		p := newProject(t, user, `
  server:   {command: [TOOLS/server, -gate, HERE/gate, -delay, 150s]}
  blocking: {command: [TOOLS/connect, blocking, server, "7000"]}
  go:       {command: [TOOLS/goclient, server, "7000"]}
`)
		gate := p.gate("gate")
		r := p.up("--hold-timeout", "300s")
		r.wait("blocking's hold", holdBegan("blocking", "server"))
		r.wait("go's hold", holdBegan("go", "server"))
		gate.open()
		runs = append(runs, r)
	}
	for _, r := range runs {
		r.waitWithin(150*time.Second+patience, 2, "the ends of both clients", exitedAmong("blocking", "go"))
		for _, client := range []string{"blocking", "go"} {
			if said := r.output(client); !strings.HasPrefix(said, "ok 15") {
				t.Errorf("user %s: %s said %q, want ok after 150 s", r.project.user.Name, client, said)
			}
		}
	}
}
