package e2e

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"upall/internal/testenv"
)

// TestE2EAgentLeavesNothing: no rule in the host's network namespace, and of the
// images that upall has made not those of other executables. This test runs beside no other.
func TestE2EAgentLeavesNothing(t *testing.T) {
	nft := testenv.NeedProgram(t, "nft")
	rules := func() string {
		out, err := root(t).Command(t, nft, "list", "tables").Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	before := rules()
	for _, e := range testenv.NeedEngines(t) {
		t.Run(e.Version, func(t *testing.T) {
			testenv.NeedRoot(t)
			testenv.NeedNFQueue(t)
			testenv.NeedImages(t, e, "busybox")
			own, other := filepath.Join(tools, "upall"), otherUpall(t)
			first := agentRunsWith(t, e, own, "")
			second := agentRunsWith(t, e, other, first)
			agentRunsWith(t, e, own, second)
		})
	}
	testenv.Eventually(t, patience, func() error {
		for table := range strings.Lines(rules()) {
			if !strings.Contains(before, table) { // what others had there may be gone
				return errors.New("left in netfilter: " + table)
			}
		}
		return nil
	})
}

// agentRunsWith has an executable hold connects, one of them from the host's network
// namespace, and returns its image, which has replaced that of another.
func agentRunsWith(t *testing.T, e testenv.Engine, upall, replaced string) (image string) {
	t.Helper()
	p := newAgentPod(t, e, `
  server: {BOX, command: [/tools/server, -gate, /here/gate], ports: ["127.0.0.1::7000"]}
  client: {BOX, network_mode: host, command: [/tools/goclient, server, "7000"]}
`)
	gate := p.gate("gate")
	up := p.command("up", "-d")
	up.Path, up.Args[0] = upall, upall
	p.finish(up).want(0)
	p.clientWaits()
	image = p.docker("inspect", "--format", "{{.Config.Image}}", p.agent())
	gate.open()
	p.are("exited", "client")
	p.down()
	if all := p.images(); !slices.Contains(all, image) || slices.Contains(all, replaced) {
		t.Errorf("the engine has the images %q, want %s, and not %s", all, image, replaced)
	}
	return image
}

// otherUpall is upall with another digest: what follows a program is not loaded.
func otherUpall(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(tools, "upall"))
	if err != nil {
		t.Fatal(err)
	}
	folder, err := os.MkdirTemp("", "upall-e2e-other-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(folder); err != nil {
			t.Error(err)
		}
	})
	path := filepath.Join(folder, "upall")
	if err := errors.Join(os.Chmod(folder, 0o755), os.WriteFile(path, append(content, folder...), 0o755)); err != nil {
		t.Fatal(err)
	}
	return path
}

// images are those of agents that the engine has.
func (p *agentPod) images() []string {
	p.t.Helper()
	return strings.Fields(p.docker("images", "--filter", "label=dev.upall.agent", "--format", "{{.Repository}}:{{.Tag}}"))
}
