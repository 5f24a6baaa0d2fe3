package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"upall/internal/testenv"
)

// TestE2EAgentMixed: an agent holds the connects of processes and of containers alike,
// and runs processes with the rights of their owner.
func TestE2EAgentMixed(t *testing.T) {
	t.Parallel()
	forEngines(t, func(t *testing.T, e testenv.Engine) {
		p := newAgentPod(t, e, `
  container-server: {BOX, command: [/tools/server, -gate, /here/gate]}
  process-client:   {command: [TOOLS/goclient, container-server, "7000"]}
  process-server:   {command: [TOOLS/server, -gate, HERE/gate]}
  container-client: {BOX, command: [/tools/goclient, process-server, "7000"]}
  who:              {command: [sh, -c, "id -u; id -g; id -G; pwd; grep CapEff /proc/self/status; touch HERE/mine; readlink /proc/self/ns/net"]}
`)
		t.Cleanup(func() { p.nothingLeft(stopPatience) })
		gate := p.gate("gate")
		r := p.up()
		r.wait("the hold of the process", holdBegan("process-client", "container-server"))
		r.wait("the hold of the container", holdBegan("container-client", "process-server"))
		gate.open()
		r.allExit("process-client", "container-client", "who")
		p.isOwn(r.output("who"))
		if code := r.interrupt(); code != 130 {
			t.Errorf("upall ended with code %d, want 130", code)
		}
		p.observes("container-client process-server:7000/tcp 1\nprocess-client container-server:7000/tcp 1\n")
		p.down()
	})
}

// isOwn wants what a process of the project says of itself to be what a command of
// its owner would.
func (p *agentPod) isOwn(said string) {
	p.t.Helper()
	out, err := p.user.Command(p.t, "readlink", "/proc/self/ns/net").Output()
	if err != nil {
		p.t.Fatal(err)
	}
	got := strings.Split(said, "\n")
	if len(got) != 6 {
		p.t.Fatalf("the process says %q", got)
	}
	groups := strings.Fields(got[2])
	slices.Sort(groups)
	want := []string{fmt.Sprint(p.user.GID), fmt.Sprint(p.user.Groups[0])}
	slices.Sort(want)
	got[2] = strings.Join(groups, " ")
	all := []string{
		fmt.Sprint(p.user.UID), fmt.Sprint(p.user.GID), strings.Join(want, " "), p.folder,
		"CapEff:\t0000000000000000", strings.TrimSpace(string(out)),
	}
	if !slices.Equal(got, all) {
		p.t.Errorf("the process says %q, want %q", got, all)
	}
}
