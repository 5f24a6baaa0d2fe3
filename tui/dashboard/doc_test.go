package dashboard

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// keyTable is the table of the docs.
func keyTable() string {
	var out strings.Builder
	for _, section := range Keys().Sections() {
		fmt.Fprintf(&out, "| | **%s** |\n", section.Title)
		for _, b := range section.Bindings {
			var names []string
			for _, name := range b.Keys() {
				names = append(names, "`"+name+"`")
			}
			fmt.Fprintf(&out, "| %s | %s |\n", strings.Join(names, " "), b.Help().Desc)
		}
	}
	return out.String()
}

// TestDocs holds that docs/dashboard.md has the keys as they are.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile("../../docs/dashboard.md")
	if err != nil {
		t.Fatal(err)
	}
	if want := "| key | what it does |\n|---|---|\n" + keyTable() + "\n"; !strings.Contains(string(text), want) {
		t.Errorf("docs/dashboard.md has other keys; these are right:\n%s", want)
	}
}
