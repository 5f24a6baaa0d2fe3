package compose

import (
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"testing"
)

// Processes that run keep their addresses, whatever else the file gets or loses.
func TestKeptProcesses(t *testing.T) {
	t.Parallel()
	for _, mixed := range []bool{false, true} {
		t.Run(fmt.Sprintf("mixed=%v", mixed), func(t *testing.T) {
			t.Parallel()
			before := processAddrs(t, mixed, nil, "b", "d")
			kept := map[string]Instance{}
			maps.Copy(kept, before)
			delete(before, "d-1") // it ends while the others are there
			after := processAddrs(t, mixed, kept, "a", "b", "c", "e")
			if after["b-1"].Addr != before["b-1"].Addr || after["b-1"].Addr2 != before["b-1"].Addr2 {
				t.Errorf("b has moved: %v, %v", before["b-1"], after["b-1"])
			}
			seen := map[netip.Addr]string{kept["d-1"].Addr: "d-1, which still runs", kept["d-1"].Addr2: "d-1, which still runs"}
			for name, i := range after {
				for _, a := range []netip.Addr{i.Addr, i.Addr2} {
					if other := seen[a]; other != "" || !a.IsValid() {
						t.Errorf("%s has the address %v of %q", name, a, other)
					}
					seen[a] = name
				}
			}
		})
	}
}

func processAddrs(t *testing.T, mixed bool, kept map[string]Instance, names ...string) map[string]Instance {
	t.Helper()
	var file strings.Builder
	file.WriteString("name: kept\nservices:\n")
	for _, name := range names {
		fmt.Fprintf(&file, "  %s: {command: [\"true\"], x-upall: {runtime: process}}\n", name)
	}
	if mixed {
		file.WriteString("  box: {image: box}\n")
	}
	project, err := Load(t.Context(), Options{Files: []string{"-"}, Stdin: strings.NewReader(file.String()), Environment: []string{}, ProjectDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	plan, err := NewPlan(project, PlanOptions{Prefix: testPrefix(), Kept: kept})
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]Instance{}
	for _, s := range plan.Services {
		if s.Runtime == Process {
			for _, i := range s.Instances {
				found[i.Name] = i
			}
		}
	}
	return found
}
