package dashboard

import (
	"strings"
	"testing"
	"unicode"

	"github.com/charmbracelet/x/ansi"
)

func TestSafe(t *testing.T) {
	for _, test := range []struct{ name, give, colored, plain string }{
		{"plain", "hello", "hello", "hello"},
		{"colours stay, and end", "\x1b[31mred", "\x1b[31mred\x1b[m", "red"},
		{"a cursor does not move", "a\x1b[2J\x1b[1;1Hb\x1b[Ac", "abc", "abc"},
		{"a title is not set", "a\x1b]0;pwned\ab\x1b]52;c;eA==\x1b\\c", "abc", "abc"},
		{"device strings", "a\x1bPq~~\x1b\\b\x1b_x\x1b\\c", "abc", "abc"},
		{"the same in one character", "a\u009b2Jb\u009d0;x\u009cc", "abc", "abc"},
		{"other escapes", "a\x1bcb\x1b(0c\x1b=d", "abcd", "abcd"},
		{"one that does not end", "a\x1b[31", "a", "a"},
		{"private parameters are no colour", "a\x1b[?25lb\x1b[>4;2mc", "abc", "abc"},
		{"a line that was written over", "10 %\r50 %\rdone\r", "done", "done"},
		{"tabs", "a\tb", "a       b", "a       b"},
		{"controls", "a\x00\x07\x08\x7fb", "ab", "ab"},
		{"the direction stays", "a\u202eb\u2066c", "abc", "abc"},
		{"what is no UTF-8", "a\xffb", "a\ufffdb", "a\ufffdb"},
		{"wide characters", "日本", "日本", "日本"},
	} {
		if got := safe(test.give, true); got != test.colored {
			t.Errorf("%s: %q, want %q", test.name, got, test.colored)
		}
		if got := safe(test.give, false); got != test.plain {
			t.Errorf("%s, without colours: %q, want %q", test.name, got, test.plain)
		}
	}
}

func TestSafeIsShort(t *testing.T) {
	if got := safe(strings.Repeat("x", 1<<20), true); len(got) > maxLine+10 {
		t.Errorf("%d bytes are kept of a line", len(got))
	}
}

// FuzzSafe holds that nothing but colours and what is printable comes through.
func FuzzSafe(f *testing.F) {
	f.Add("a\x1b[31mb\x1b]0;x\x07\u009bc")
	f.Add("\x1b[m0")
	f.Fuzz(func(t *testing.T, text string) {
		if got := safe(text, false); strings.ContainsFunc(got, unicode.IsControl) {
			t.Errorf("%q leaves %q", text, got)
		}
		colored := safe(text, true)
		if strings.ContainsFunc(ansi.Strip(colored), unicode.IsControl) {
			t.Errorf("%q leaves %q", text, colored)
		}
		for _, part := range strings.Split(colored, "\x1b")[1:] { // the first is before any escape
			if !strings.HasPrefix(part, "[") {
				t.Errorf("%q leaves another sequence: %q", text, colored)
			}
		}
	})
}
