package graph

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
	"unicode/utf8"

	"upall/internal/testenv"
	"upall/supervisor/status"
)

// declared is a project that has not run.
func declared() Input { return Input{Project: "shop", Plan: shopPlan()} }

// over is the same project after its run.
func over() Input {
	in := shop()
	in.Runs = false
	return in
}

func TestGoldens(t *testing.T) {
	for name, in := range map[string]Input{"up": shop(), "declared": declared(), "over": over(), "empty": {Project: "empty"}} {
		g := New(in)
		testenv.Golden(t, name+"-80", g.Text(TextOptions{Width: 80}))
		testenv.Golden(t, name+"-dot", g.Dot())
		testenv.Golden(t, name+"-mermaid", g.Mermaid())
		text, err := g.JSON()
		if err != nil {
			t.Fatal(err)
		}
		testenv.Golden(t, name+"-json", text)
		if !json.Valid([]byte(text)) {
			t.Errorf("%s is no JSON", name)
		}
	}
	up := New(shop())
	testenv.Golden(t, "up-60", up.Text(TextOptions{Width: 60}))
	testenv.Golden(t, "up-any", up.Text(TextOptions{}))
	testenv.Golden(t, "up-color", up.Text(TextOptions{Width: 80, Color: true}))
	testenv.Golden(t, "up-declared", up.Declared().Text(TextOptions{Width: 80}))
	testenv.Golden(t, "up-observed", up.Observed().Text(TextOptions{Width: 80}))
	bare := shop()
	bare.Plan.Dependencies = nil
	testenv.Golden(t, "bare-color", New(bare).Text(TextOptions{Width: 80, Color: true}))
}

// No line is wider than it may be, whatever the names are.
func TestTextWidth(t *testing.T) {
	for _, in := range []Input{shop(), declared(), over()} {
		for width := 24; width < 200; width++ {
			for line := range strings.Lines(New(in).Text(TextOptions{Width: width})) {
				line = strings.TrimSuffix(line, "\n")
				if n := utf8.RuneCountInString(line); n > width {
					t.Errorf("%d characters, where %d may be: %q", n, width, line)
				}
				if strings.TrimRight(line, " ") != line {
					t.Errorf("a line ends with spaces: %q", line)
				}
			}
		}
	}
}

// Colours change nothing else.
func TestTextColor(t *testing.T) {
	plain := New(shop()).Text(TextOptions{Width: 80})
	colored := New(shop()).Text(TextOptions{Width: 80, Color: true})
	for _, color := range []string{"0", "2", "31", "32", "33"} {
		colored = strings.ReplaceAll(colored, "\x1b["+color+"m", "")
	}
	if colored != plain {
		t.Errorf("without its colours:\n%s\nwant:\n%s", colored, plain)
	}
}

// Graphviz itself reads what Dot writes, and shows each name as it is.
func TestDotRenders(t *testing.T) {
	program := testenv.NeedProgram(t, "dot")
	for name, in := range map[string]Input{"up": shop(), "declared": declared(), "empty": {Project: `a "b" \`}} {
		command := exec.CommandContext(t.Context(), program, "-Tsvg")
		command.Stdin = strings.NewReader(New(in).Dot())
		var complaint strings.Builder
		command.Stderr = &complaint
		drawing, err := command.Output()
		if err != nil || complaint.Len() > 0 {
			t.Fatalf("%s: %v: %s", name, err, complaint.String())
		}
		for _, n := range New(in).Nodes {
			if want := ">" + n.title() + "<"; !strings.Contains(unescaped(string(drawing)), want) {
				t.Errorf("the drawing does not show %q", n.title())
			}
		}
	}
	command := exec.CommandContext(t.Context(), program, "-Tplain")
	command.Stdin = strings.NewReader(New(shop()).Dot())
	plain, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	if want := `./a \"b\" <c> & d\`; !strings.Contains(string(plain), want) {
		t.Errorf("no edge has the label %s:\n%s", want, plain)
	}
}

// unescaped turns what Graphviz writes for a hyphen into one.
func unescaped(svg string) string { return strings.ReplaceAll(svg, "&#45;", "-") }

// FuzzForms holds that no name breaks a form.
func FuzzForms(f *testing.F) {
	f.Add("api", `a "b" <c> & d\`, "192.0.2.7", uint8(80))
	f.Add("end", "]|`#;\n\x1b[0m", "", uint8(24))
	f.Fuzz(func(t *testing.T, name, detail, address string, width uint8) {
		in := shop()
		in.Project = name
		for n := range in.Plan.Dependencies {
			in.Plan.Dependencies[n].Detail = detail
		}
		in.Edges = append(in.Edges, status.Edge{Client: name, Address: address, FromHost: width%2 == 0, Port: 1, Observed: true})
		g := New(in)
		text, err := g.JSON()
		if err != nil || !json.Valid([]byte(text)) {
			t.Errorf("%v: no JSON: %s", err, text)
		}
		g.Text(TextOptions{Width: int(width), Color: true})
		if lines, want := strings.Count(g.Dot(), "\n"), 5+len(g.Nodes)+len(g.Edges); lines != want {
			t.Errorf("%d lines of DOT, want %d:\n%s", lines, want, g.Dot())
		}
		if lines, want := strings.Count(g.Mermaid(), "\n"), 1+2*len(g.Nodes)+len(g.Edges); lines != want {
			t.Errorf("%d lines of Mermaid, want %d:\n%s", lines, want, g.Mermaid())
		}
	})
}
