package engine

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const fidelityDocs = "../../docs/fidelity.md"

// TestFidelityDocs: the page has the rows of the tables of this test, and no
// others.
func TestFidelityDocs(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(fidelityDocs)
	if err != nil {
		t.Fatal(err)
	}
	var differs, isUncovered []string
	for _, row := range allowed {
		by := row.by
		if by == "" {
			by = "both"
		}
		differs = append(differs, fmt.Sprintf("| `%s` | %s | %s |", row.path, by, row.reason))
	}
	for _, path := range slices.Sorted(maps.Keys(uncovered)) {
		isUncovered = append(isUncovered, fmt.Sprintf("| `%s` | %s |", path, uncovered[path]))
	}
	for heading, want := range map[string][]string{"What differs": differs, "What is not in the corpus": isUncovered} {
		if diff := cmp.Diff(want, tableBelow(string(text), heading)); diff != "" {
			t.Errorf("the table below %q (- wanted, + there):\n%s", heading, diff)
		}
	}
}

// tableBelow returns the rows of the first table below a heading, without its
// head.
func tableBelow(text, heading string) []string {
	_, below, _ := strings.Cut(text, "\n## "+heading+"\n")
	var rows []string
	for line := range strings.Lines(below) {
		if strings.HasPrefix(line, "## ") {
			break
		}
		if strings.HasPrefix(line, "| `") {
			rows = append(rows, strings.TrimSuffix(line, "\n"))
		}
	}
	return rows
}
