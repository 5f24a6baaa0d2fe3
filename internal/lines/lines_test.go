package lines

import (
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func TestLines(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", Max)
	for _, test := range []struct {
		name, give string
		want       []string
	}{
		{"none", "", nil},
		{"one", "a\n", []string{"a"}},
		{"unfinished", "a\nb", []string{"a", "b"}},
		{"empty line", "\na\n", []string{"", "a"}},
		{"too long", long + "y\n", []string{long, "y"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var read, written []string
			Read(iotest.HalfReader(strings.NewReader(test.give)), func(l string) { read = append(read, l) })
			w := NewWriter(func(l string) { written = append(written, l) })
			for half := range slices.Chunk([]byte(test.give), Max/2+1) {
				if _, err := w.Write(half); err != nil {
					t.Fatal(err)
				}
			}
			w.Flush()
			if !slices.Equal(read, test.want) || !slices.Equal(written, test.want) {
				t.Errorf("read %d lines, wrote %d, want %d", len(read), len(written), len(test.want))
			}
		})
	}
}
