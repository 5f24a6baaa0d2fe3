package repotest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// layer is a folder of the repository and the folders that it may import.
type layer struct {
	folder  string
	imports []string
	reason  string
}

// layers is the direction of imports, top down: cmd -> tui, supervisor ->
// intercept, compose -> internal. A folder may always import itself.
func layers() []layer {
	return []layer{
		{"cmd", []string{"tui", "supervisor", "intercept", "compose", "internal"}, "cmd joins the parts; nothing may import it"},
		{"tui", []string{"supervisor", "compose", "internal"}, "the dashboard is a client of the control API: cmd connects it"},
		{"supervisor", []string{"intercept", "compose", "internal"}, "the supervisor is driven by cmd and shown by tui"},
		{"intercept", []string{"internal"}, "intercept knows nothing of compose or of runtimes: it is given an identity and a policy, and reports events"},
		{"compose", []string{"internal"}, "a plan is a pure function of the project"},
		{"internal", nil, "internal packages serve all others and need none"},
		{"hack", nil, "tools of the repository know nothing of what is in it"},
	}
}

// testOnly are packages for tests; what users run must not hold them.
var testOnly = []string{"testing", module + "/internal/testenv", module + "/internal/repotest"}

func TestImports(t *testing.T) {
	for _, problem := range importProblems(packages(t)) {
		t.Error(problem)
	}
}

func importProblems(list []goPackage) []string {
	var problems []string
	for _, p := range list {
		top, _, _ := strings.Cut(p.path(), "/")
		i := slices.IndexFunc(layers(), func(l layer) bool { return l.folder == top })
		if i < 0 {
			problems = append(problems, fmt.Sprintf("%s: the folder %s has no place in the direction of imports; give it one in layers()", p.ImportPath, top))
			continue
		}
		allowed := layers()[i]
		for _, imported := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			inner, ours := strings.CutPrefix(imported, module+"/")
			target, _, _ := strings.Cut(inner, "/")
			if ours && target != top && !slices.Contains(allowed.imports, target) {
				problems = append(problems, fmt.Sprintf("%s imports %s, which %s may not: %s", p.ImportPath, imported, top, allowed.reason))
			}
		}
		if slices.Contains(testOnly, p.ImportPath) {
			continue
		}
		for _, imported := range p.Imports {
			if slices.Contains(testOnly, imported) {
				problems = append(problems, fmt.Sprintf("%s imports %s outside of its tests", p.ImportPath, imported))
			}
		}
	}
	return problems
}

func TestImportProblems(t *testing.T) {
	reason := func(folder string) string {
		return layers()[slices.IndexFunc(layers(), func(l layer) bool { return l.folder == folder })].reason
	}
	for _, test := range []struct {
		name string
		give goPackage
		want []string
	}{
		{"cmd imports all", goPackage{ImportPath: "upall/cmd/upall", Imports: []string{"fmt", "upall/tui", "upall/supervisor/process", "upall/intercept", "upall/compose", "upall/internal/event"}}, nil},
		{"its own kind", goPackage{ImportPath: "upall/intercept", Imports: []string{"upall/intercept/park", "upall/internal/linux", "golang.org/x/sys/unix"}}, nil},
		{
			"intercept imports compose",
			goPackage{ImportPath: "upall/intercept/park", Imports: []string{"upall/compose"}},
			[]string{"upall/intercept/park imports upall/compose, which intercept may not: " + reason("intercept")},
		},
		{
			"a test counts too",
			goPackage{ImportPath: "upall/compose", XTestImports: []string{"upall/cmd/upall"}},
			[]string{"upall/compose imports upall/cmd/upall, which compose may not: " + reason("compose")},
		},
		{
			"internal imports a room",
			goPackage{ImportPath: "upall/internal/event", TestImports: []string{"upall/supervisor"}},
			[]string{"upall/internal/event imports upall/supervisor, which internal may not: " + reason("internal")},
		},
		{"testenv in a test", goPackage{ImportPath: "upall/tui", TestImports: []string{"testing", "upall/internal/testenv"}}, nil},
		{
			"testenv in the product",
			goPackage{ImportPath: "upall/tui", Imports: []string{"upall/internal/testenv"}},
			[]string{"upall/tui imports upall/internal/testenv outside of its tests"},
		},
		{
			"a folder of no layer",
			goPackage{ImportPath: "upall/util"},
			[]string{"upall/util: the folder util has no place in the direction of imports; give it one in layers()"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, importProblems([]goPackage{test.give})); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}
