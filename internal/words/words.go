// Package words makes text that people read in lines of a certain width.
//
// Use: Seconds for durations, Shorten and Wrap for what may be too long.
// Ownership: nothing is kept.
// Promises: pure; a width counts characters, not bytes.
// Tests: tables, and the goldens of those that use it.
package words

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Seconds formats a duration: three digits, or whole seconds from a minute on.
func Seconds(d time.Duration) string {
	switch {
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.2f s", d.Truncate(10*time.Millisecond).Seconds())
	}
	d = d.Truncate(time.Second)
	return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
}

// Shorten cuts the end of a text that is longer than width characters. mark, one
// character, stands for what is cut.
func Shorten(text string, width int, mark string) string {
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	return string([]rune(text)[:max(0, width-1)]) + mark
}

// Wrap breaks a text between words into lines of at most width characters; a word
// that is longer is shortened. There is one line at least.
func Wrap(text string, width int, mark string) (lines []string) {
	line := ""
	for word := range strings.FieldsSeq(text) {
		word = Shorten(word, width, mark)
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) <= width:
			line += " " + word
		default:
			lines = append(lines, line)
			line = word
		}
	}
	return append(lines, line)
}
