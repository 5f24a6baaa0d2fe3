package health

import (
	"strings"
	"sync"
)

// MaxOutput is how much of a probe's output is kept, in bytes, as Docker has it.
const MaxOutput = 4096

// Tail is an io.Writer that keeps the end of what is written to it, from any
// goroutine.
type Tail struct {
	mu   sync.Mutex // guards text
	text []byte
}

// Write never fails.
func (t *Tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	size := len(p)
	p = p[max(0, size-MaxOutput):]
	t.text = append(t.text[max(0, len(t.text)+len(p)-MaxOutput):], p...)
	return size, nil
}

// String returns what is kept. A character that was cut is left out.
func (t *Tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.ToValidUTF8(string(t.text), "")
}
