package timeline

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"upall/internal/testenv"
)

// forms are the timelines that each form is shown of.
func forms(t *testing.T) map[string]*Timeline {
	t.Helper()
	early, _, _ := strings.Cut(chainScript, "5900 db-1")
	return map[string]*Timeline{"chain": New(play(t, chainScript)), "all": New(play(t, allScript)), "early": New(play(t, early)), "empty": New(play(t, ""))}
}

func TestGoldens(t *testing.T) {
	for name, tl := range forms(t) {
		testenv.Golden(t, name+"-80", tl.Text(TextOptions{Width: 80}))
		testenv.Golden(t, name+"-120", tl.Text(TextOptions{Width: 120}))
		testenv.Golden(t, name+"-svg", tl.SVG())
		text, err := tl.JSON()
		if err != nil {
			t.Fatal(err)
		}
		testenv.Golden(t, name+"-json", text)
		text, err = tl.Trace()
		if err != nil {
			t.Fatal(err)
		}
		testenv.Golden(t, name+"-trace", text)
	}
	all := New(play(t, allScript))
	testenv.Golden(t, "all-40-ascii", all.Text(TextOptions{Width: 40, ASCII: true}))
	testenv.Golden(t, "all-color", all.Text(TextOptions{Width: 80, Color: true}))
}

// No line is wider than it may be, and ASCII is ASCII.
func TestTextWidth(t *testing.T) {
	long := New(play(t, strings.ReplaceAll(chainScript, "api-1", strings.Repeat("long", 12)+"-1")))
	for _, tl := range append([]*Timeline{long}, forms(t)["all"], forms(t)["early"], forms(t)["empty"]) {
		for width := narrowest; width < 200; width++ {
			text := tl.Text(TextOptions{Width: width, ASCII: width%2 == 0})
			for line := range strings.Lines(text) {
				if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > width {
					t.Errorf("%d characters, where %d may be: %q", n, width, line)
				}
			}
			if width%2 == 0 && strings.ContainsFunc(text, func(r rune) bool { return r > 126 }) {
				t.Errorf("not ASCII:\n%s", text)
			}
		}
	}
}

// Colours change nothing else.
func TestTextColor(t *testing.T) {
	tl := New(play(t, allScript))
	colored := regexp.MustCompile("\x1b\\[[0-9;]*m").ReplaceAllString(tl.Text(TextOptions{Width: 80, Color: true}), "")
	if plain := tl.Text(TextOptions{Width: 80}); colored != plain {
		t.Errorf("without its colours:\n%s\nwant:\n%s", colored, plain)
	}
}

func TestTrace(t *testing.T) {
	for _, tl := range forms(t) {
		checkTrace(t, tl)
	}
}

// checkTrace reads a trace as its viewers do.
func checkTrace(t *testing.T, tl *Timeline) {
	t.Helper()
	text, err := tl.Trace()
	if err != nil {
		t.Fatal(err)
	}
	var trace struct {
		TraceEvents []map[string]any `json:"traceEvents"`
	}
	if err := json.Unmarshal([]byte(text), &trace); err != nil {
		t.Fatal(err)
	}
	needs := map[string][]string{
		"M": {"name", "pid", "tid", "args"}, "X": {"name", "ts", "dur", "pid", "tid"}, "i": {"name", "ts", "s", "pid", "tid"},
		"s": {"name", "cat", "id", "ts", "pid", "tid"}, "f": {"name", "cat", "id", "ts", "pid", "tid", "bp"},
	}
	threads, starts := map[float64][]map[string]any{}, map[float64]float64{}
	for _, e := range trace.TraceEvents {
		phase, _ := e["ph"].(string)
		for _, field := range needs[phase] {
			if _, ok := e[field]; !ok {
				t.Errorf("no %s in %v", field, e)
			}
		}
		number := func(name string) float64 { n, _ := e[name].(float64); return n }
		switch phase {
		case "M", "i":
		case "X":
			threads[number("tid")] = append(threads[number("tid")], e)
		case "s":
			starts[number("id")] = number("ts")
		case "f":
			if from, ok := starts[number("id")]; !ok || from > number("ts") {
				t.Errorf("a flow ends that has not started: %v", e)
			}
			delete(starts, number("id"))
		default:
			t.Errorf("unknown phase: %v", e)
		}
	}
	if len(starts) > 0 {
		t.Errorf("flows that do not end: %v", starts)
	}
	for _, thread := range threads {
		checkNesting(t, thread)
	}
}

// checkNesting holds that of two slices of a thread one is within the other, or they
// are apart.
func checkNesting(t *testing.T, thread []map[string]any) {
	t.Helper()
	var around []float64 // ends
	slices.SortStableFunc(thread, func(a, b map[string]any) int {
		return int(min(1, max(-1, a["ts"].(float64)-b["ts"].(float64))))
	})
	const fuzzy = 0.001 // they are written as decimals
	for _, e := range thread {
		from, _ := e["ts"].(float64)
		length, _ := e["dur"].(float64)
		for len(around) > 0 && around[len(around)-1] <= from+fuzzy {
			around = around[:len(around)-1]
		}
		if len(around) > 0 && from+length > around[len(around)-1]+fuzzy {
			t.Errorf("overlaps: %v", e)
		}
		around = append(around, from+length)
	}
}

func TestSVG(t *testing.T) {
	for _, tl := range forms(t) {
		checkSVG(t, tl)
	}
	run := play(t, chainScript)
	run.Project = `<script>"&'`
	run.Plan.Services[0].Name = "<b>&"
	drawing := New(run).SVG()
	checkSVG(t, New(run))
	if strings.Contains(drawing, "<script") || strings.Contains(drawing, "<b>") {
		t.Errorf("a name is not escaped:\n%s", drawing)
	}
}

// checkSVG reads a drawing as XML.
func checkSVG(t *testing.T, tl *Timeline) {
	t.Helper()
	tokens := xml.NewDecoder(strings.NewReader(tl.SVG()))
	for {
		token, err := tokens.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if element, ok := token.(xml.StartElement); ok && element.Name.Local == "script" {
			t.Error("a script")
		}
	}
}
