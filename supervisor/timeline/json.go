package timeline

import (
	"bytes"
	"encoding/json"
)

// JSON is the timeline for programs.
func (t *Timeline) JSON() (string, error) { return encode(t) }

func encode(what any) (string, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	err := encoder.Encode(what)
	return out.String(), err
}
