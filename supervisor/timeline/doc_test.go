package timeline

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

// docs/timeline.md shows what Text writes, and names each field of the JSON form.
func TestDocs(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/timeline.md")
	if err != nil {
		t.Fatal(err)
	}
	if want := "```\n" + New(play(t, chainScript)).Text(TextOptions{Width: 80}) + "```\n"; !strings.Contains(string(text), want) {
		t.Errorf("docs/timeline.md does not show\n%s", want)
	}
	for _, script := range []string{chainScript, allScript} {
		whole, err := New(play(t, script)).JSON()
		if err != nil {
			t.Fatal(err)
		}
		var value any
		if err := json.Unmarshal([]byte(whole), &value); err != nil {
			t.Fatal(err)
		}
		for _, name := range fields(value) {
			if !strings.Contains(string(text), "`"+name+"`") {
				t.Errorf("docs/timeline.md does not name the field %s", name)
			}
		}
	}
}

// fields are the names of all fields of a JSON value.
func fields(value any) (names []string) {
	switch v := value.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			names = append(append(names, name), fields(v[name])...)
		}
	case []any:
		for _, one := range v {
			names = append(names, fields(one)...)
		}
	}
	return names
}
