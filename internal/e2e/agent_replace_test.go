package e2e

import (
	"fmt"
	"path/filepath"
	"testing"

	"upall/internal/testenv"
)

// A newer upall has the supervisor in a running agent go on as itself, and a connect
// that is held meanwhile does not notice.
func TestE2EAgentReplaced(t *testing.T) {
	t.Parallel()
	newer := filepath.Join(tools, "upall-newer")
	if err := build(nil, "make", "--no-print-directory", "-C", "../..", "build", "BIN="+newer, "VERSION=newer"); err != nil {
		t.Fatal(err)
	}
	forAnEngine(t, func(t *testing.T, e testenv.Engine) {
		p := newAgentPod(t, e, `
  server: {BOX, command: [/tools/server, -gate, /here/gate]}
  client: {BOX, command: [/tools/goclient, server, "7000"]}
`)
		gate := p.gate("gate")
		p.run("up", "-d").want(0)
		p.clientWaits()
		before, err := p.snapshot()
		if err != nil {
			t.Fatal(err)
		}
		p.upall = newer
		p.run("up", "-d").want(0)
		p.clientWaits()
		after, err := p.snapshot()
		if err != nil {
			t.Fatal(err)
		}
		if after.Version != "newer" || after.KeeperPID != before.KeeperPID || after.Life != before.Life+1 {
			t.Errorf("after the newer upall: version %q, keeper %d, life %d; before: keeper %d, life %d",
				after.Version, after.KeeperPID, after.Life, before.KeeperPID, before.Life)
		}
		gate.open()
		p.until(func(s snapshot) error {
			if len(s.Holds) > 0 {
				return fmt.Errorf("still held: %s", s.Holds)
			}
			return nil
		})
		p.run("wait", "client").want(0)
		p.run("down", "-t", "0").want(0)
		if left, err := filepath.Glob("/var/lib/upall/" + p.name + "*"); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v (%v)", left, err)
		}
	})
}
