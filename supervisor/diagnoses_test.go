package supervisor

import (
	"strings"
	"testing"
)

func TestShorten(t *testing.T) {
	t.Parallel()
	for give, want := range map[string]string{
		"":                             "",
		"\n":                           "",
		"one":                          "one",
		"first\r\n  second \n":         "second",
		strings.Repeat("x", 299) + "é": strings.Repeat("x", 299) + "...",
	} {
		if got := shorten(give); got != want {
			t.Errorf("%q becomes %q, want %q", give, got, want)
		}
	}
}
