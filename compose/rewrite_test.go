package compose

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/google/go-cmp/cmp"
)

// rewritten loads, plans and rewrites a case, and returns the project that was
// loaded too.
func rewritten(t *testing.T, c planCase) (loaded, project *types.Project) {
	t.Helper()
	root, err := filepath.Abs("testdata/plan")
	if err != nil {
		t.Fatal(err)
	}
	loaded, err = Load(t.Context(), c.loadOptions(root))
	if err != nil {
		t.Fatal(err)
	}
	c.options.Prefix = testPrefix()
	plan, err := NewPlan(loaded, c.options)
	if err != nil {
		t.Fatal(err)
	}
	return loaded, Rewrite(loaded, plan)
}

func yamlOf(t *testing.T, project *types.Project) string {
	t.Helper()
	text, err := project.MarshalYAML()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestRewrite: the goldens are the projects for the SDK, and what Unordered
// leaves of depends_on in them.
func TestRewrite(t *testing.T) {
	for _, name := range []string{"mixed", "modes", "subnets"} {
		t.Run(name, func(t *testing.T) {
			loaded, project := rewritten(t, planCase{name: name})
			before := yamlOf(t, loaded)
			var text strings.Builder
			text.WriteString(yamlOf(t, project) + "# unordered\n")
			unordered := Unordered(project)
			for _, service := range slices.Sorted(maps.Keys(unordered.Services)) {
				for _, on := range slices.Sorted(maps.Keys(unordered.Services[service].DependsOn)) {
					fmt.Fprintf(&text, "# %s after %s\n", service, on)
				}
			}
			compareGolden(t, filepath.Join("testdata/rewrite", name+".golden"), strings.ReplaceAll(text.String(), loaded.WorkingDir, "ROOT"))
			if diff := cmp.Diff(before, yamlOf(t, loaded)); diff != "" {
				t.Errorf("the loaded project changed:\n%s", diff)
			}
			if _, again := rewritten(t, planCase{name: name}); cmp.Diff(yamlOf(t, project), yamlOf(t, again)) != "" {
				t.Error("two runs differ")
			}
		})
	}
}

// hashed is what Compose hashes of a service.
func hashed(t *testing.T, service types.ServiceConfig) string {
	t.Helper()
	service.Build, service.PullPolicy, service.Scale, service.Deploy, service.DependsOn, service.Profiles = nil, "", nil, nil, nil, nil
	text, err := json.Marshal(service)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestRewriteHash: a service that did not change is not made again, whatever
// its peers, scale and addresses are; and a network neither.
func TestRewriteHash(t *testing.T) {
	loaded, one := rewritten(t, planCase{name: "containers"})
	cases := containerCases()
	n := slices.IndexFunc(cases, func(c planCase) bool { return c.name == "containers-again" })
	_, other := rewritten(t, cases[n])
	for name, service := range one.Services {
		if diff := cmp.Diff(hashed(t, service), hashed(t, other.Services[name])); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
		users := loaded.Services[name]
		users.Labels = types.Labels{LabelManaged: "1"}
		if diff := cmp.Diff(hashed(t, users), hashed(t, service)); diff != "" {
			t.Errorf("%s is not as the file says:\n%s", name, diff)
		}
	}
	if web := other.Services["web"]; web.GetScale() != 4 {
		t.Errorf("web has %d instances", web.GetScale())
	}

	// The second run knows the networks that the first one made.
	existing := map[string]ExistingNetwork{}
	for _, network := range one.Networks {
		now := ExistingNetwork{Ours: true, Configured: true}
		for _, pool := range network.Ipam.Config {
			now.Subnets = append(now.Subnets, prefixes(pool.Subnet)...)
		}
		existing[network.Name] = now
	}
	taken := prefixes("10.0.0.0/8", "fd00::/8")
	_, again := rewritten(t, planCase{name: "containers", options: PlanOptions{Networks: existing, Taken: taken}})
	if diff := cmp.Diff(one.Networks, again.Networks); diff != "" {
		t.Errorf("networks differ:\n%s", diff)
	}
}

// TestUnorderedCopies: the project that is given keeps its order.
func TestUnorderedCopies(t *testing.T) {
	_, project := rewritten(t, planCase{name: "containers"})
	before := yamlOf(t, project)
	if got := Unordered(project).Services["api"].DependsOn; got != nil {
		t.Errorf("api waits for %v", got)
	}
	if diff := cmp.Diff(before, yamlOf(t, project)); diff != "" {
		t.Errorf("the project changed:\n%s", diff)
	}
}
