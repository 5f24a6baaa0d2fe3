package agent

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"upall/internal/testenv"
)

// What an agent may do is security: no field of its description changes unseen.
func TestDescribe(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]Options{
		"local":  {Project: "shop", Key: "KEY", Directories: Shared(), Owner: 1000, Host: "unix:///run/user.sock", EngineID: "ID", Socket: "/run/user.sock"},
		"beside": {Project: "shop", Key: "KEY", Directories: Shared(), Owner: 1000, Host: "unix:///run/user.sock", EngineID: "ID", Socket: "/run/user.sock", Enter: &Process{PID: 77, Namespace: 4026531836}},
		"remote": {Project: "shop", Key: "KEY", Directories: Shared(), Owner: 0, Host: "ssh://me@far", EngineID: "ID", Socket: "/var/run/docker.sock", AppArmor: true, Env: []string{"UPALL_LOG=debug"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := json.MarshalIndent(describe(o, "upall-agent:0123"), "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			testenv.Golden(t, name, string(text)+"\n")
		})
	}
}

// The docs say of each capability what it is for, and of no other.
func TestCapabilitiesDocs(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, c := range slices.Concat(Capabilities(), HostCapabilities()) {
		want = append(want, c.Name)
		if c.Reason == "" {
			t.Errorf("%s has no reason", c.Name)
		}
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, documented(string(text))); diff != "" {
		t.Errorf("capabilities in docs/security.md (- wanted, + there):\n%s", diff)
	}
}

// capabilityRow is a row of a table which begins with a name in capitals.
var capabilityRow = regexp.MustCompile("^\\| *`(?:CAP_)?([A-Z_]+)` *\\|")

func documented(text string) (names []string) {
	for line := range strings.Lines(text) {
		if row := capabilityRow.FindStringSubmatch(line); row != nil {
			names = append(names, row[1])
		}
	}
	slices.Sort(names)
	return names
}
