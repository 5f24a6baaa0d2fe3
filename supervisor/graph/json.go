package graph

import (
	"bytes"
	"encoding/json"
)

// JSON is the graph for programs.
func (g *Graph) JSON() (string, error) {
	whole := *g
	if whole.Nodes == nil {
		whole.Nodes = []Node{}
	}
	if whole.Edges == nil {
		whole.Edges = []Edge{}
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	err := encoder.Encode(whole)
	return out.String(), err
}
