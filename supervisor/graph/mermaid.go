package graph

import (
	"fmt"
	"strings"
)

// Mermaid is the graph for Mermaid, which Markdown of many sites may hold: what was
// seen is thick, the rest dotted.
func (g *Graph) Mermaid() string {
	var out strings.Builder
	out.WriteString("flowchart LR\n")
	for _, n := range g.Nodes {
		opens, closes := `["`, `"]`
		if n.Kind != Service {
			opens, closes = `(["`, `"])`
		}
		fmt.Fprintf(&out, "  %s%s%s%s\n", mermaidID(n.ID), opens, mermaidText(n.label(g.Runs)), closes)
	}
	for _, e := range g.Edges {
		arrow := "==>"
		switch {
		case e.Undirected:
			arrow = "-.-"
		case e.Observed == nil:
			arrow = "-.->"
		}
		label := ""
		if text := mermaidText(e.label()); text != "" {
			label = `|"` + text + `"|`
		}
		fmt.Fprintf(&out, "  %s %s%s %s\n", mermaidID(e.Client), arrow, label, mermaidID(e.Target))
	}
	for _, n := range g.Nodes {
		fmt.Fprintf(&out, "  style %s fill:%s,stroke:#616161,color:#000000\n", mermaidID(n.ID), fill(&n))
	}
	return out.String()
}

// mermaidID makes an ID of letters, digits and underscores. It begins with one of
// ours, for some words mean something there, as "end".
func mermaidID(id string) string {
	var out strings.Builder
	out.WriteString("n_")
	for _, b := range []byte(id) {
		switch {
		case b >= 'a' && b <= 'z', b >= 'A' && b <= 'Z', b >= '0' && b <= '9':
			out.WriteByte(b)
		default:
			fmt.Fprintf(&out, "_%02x", b)
		}
	}
	return out.String()
}

// mermaidText is text in quotes: what would mean something there is written as an
// entity, which Mermaid begins with # and not with &.
func mermaidText(lines []string) string {
	escape := strings.NewReplacer(
		"#", "#35;", "&", "#amp;", `"`, "#quot;", "<", "#lt;", ">", "#gt;", "`", "#96;", "|", "#124;", "\\", "#92;",
	)
	var escaped []string
	for _, line := range lines {
		escaped = append(escaped, escape.Replace(printable(line)))
	}
	return strings.Join(escaped, "<br/>")
}
