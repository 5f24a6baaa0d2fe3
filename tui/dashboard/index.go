package dashboard

import (
	"slices"
	"strings"
	"unicode"
)

// scanLines is how many lines an index looks at in one go: what is more waits for the
// next message, so that keys are answered meanwhile.
const scanLines = 4000

// index knows which lines of a ring match. It looks at each line once.
type index struct {
	matches func(*logLine) bool
	numbers []uint64 // of those that do, in order
	scanned uint64   // the number of the next that it has to look at
}

func newIndex(matches func(*logLine) bool) *index { return &index{matches: matches} }

// scan looks at lines that it has not seen, limit at most, and forgets those that the
// ring has dropped. It tells whether it has seen all.
func (x *index) scan(r *ring, limit int) (done bool) {
	if n, _ := slices.BinarySearch(x.numbers, r.first); n > 0 {
		// The rest moves to the front, so that the array does not grow.
		x.numbers = append(x.numbers[:0], x.numbers[n:]...)
	}
	x.scanned = max(x.scanned, r.first)
	for end := r.next(); x.scanned < end && limit > 0; limit-- {
		if x.matches(r.at(x.scanned)) {
			x.numbers = append(x.numbers, x.scanned)
		}
		x.scanned++
	}
	return x.scanned == r.next()
}

// upTo returns how many of its lines have a number of at most this.
func (x *index) upTo(number uint64) int {
	n, found := slices.BinarySearch(x.numbers, number)
	if found {
		n++
	}
	return n
}

// contains returns a test for a text. Without a capital letter in it, those of the
// lines count as small.
func contains(text string) func(string) bool {
	if text == "" {
		return func(string) bool { return true }
	}
	if strings.ContainsFunc(text, unicode.IsUpper) {
		return func(line string) bool { return strings.Contains(line, text) }
	}
	return func(line string) bool { return strings.Contains(strings.ToLower(line), text) }
}
