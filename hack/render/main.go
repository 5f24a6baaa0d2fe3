// Command render draws a terminal's screen as SVG.
//
// Use: tmux capture-pane -e -p | go run ./hack/render >FILE; hack/screenshot does.
// Ownership: it reads standard input to its end. Promises: each word stands in its
// cells, with its colours, whatever the font. Tests: look at docs/dashboard.svg.
package main

import (
	"bufio"
	"fmt"
	"html"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The sizes of a cell and of the picture's edge, in pixels.
const (
	cellWidth, cellHeight = 8.4, 18.0
	edge                  = 14.0
)

// The terminal's own colours.
const (
	ink   = "#d0d4da"
	paper = "#16181d"
)

// look is how a character looks.
type look struct {
	ink, paper         string
	bold, dim, swapped bool
}

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "render:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	var lines []string
	scanner := bufio.NewScanner(in)
	cells := 0
	for scanner.Scan() {
		lines = append(lines, scanner.Text())
		cells = max(cells, length(scanner.Text()))
	}
	if err := scanner.Err(); err != nil {
		return err
	}
	var b strings.Builder
	width, height := float64(cells)*cellWidth+2*edge, float64(len(lines))*cellHeight+2*edge
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%.0f" viewBox="0 0 %.0f %.0f">`+"\n", width, height, width, height)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" rx="8" fill="%s"/>`+"\n", paper)
	b.WriteString(`<g font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="14" xml:space="preserve">` + "\n")
	var l look
	for row, line := range lines {
		l = draw(&b, line, row, l)
	}
	b.WriteString("</g>\n</svg>\n")
	_, err := io.WriteString(out, b.String())
	return err
}

// draw draws a line, and returns the look that it leaves.
func draw(b *strings.Builder, line string, row int, l look) look {
	at := 0
	for line != "" {
		if sequence, rest, ok := cutSequence(line); ok {
			l, line = l.change(sequence), rest
			continue
		}
		text := line
		if n := strings.IndexByte(line, '\x1b'); n >= 0 {
			text = line[:n]
		}
		line = line[len(text):]
		l.write(b, text, at, row)
		at += utf8.RuneCountInString(text)
	}
	return l
}

// write draws a text in one look.
func (l look) write(b *strings.Builder, text string, at, row int) {
	front, back := l.ink, l.paper
	if l.swapped {
		front, back = or(back, paper), or(front, ink)
	}
	x, y, cells := edge+float64(at)*cellWidth, edge+float64(row)*cellHeight, float64(utf8.RuneCountInString(text))
	if back != "" {
		fmt.Fprintf(b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"/>`+"\n", x, y, cells*cellWidth, cellHeight, back)
	}
	more := ""
	if l.bold {
		more += ` font-weight="bold"`
	}
	if l.dim {
		more += ` opacity="0.6"`
	}
	for word := range strings.FieldsSeq(text) { // in fonts whose characters are wider, each begins where it is to
		skip := strings.Index(text, word)
		x += float64(utf8.RuneCountInString(text[:skip])) * cellWidth
		room := float64(utf8.RuneCountInString(word)) * cellWidth
		fmt.Fprintf(b, `<text x="%.1f" y="%.1f" fill="%s" textLength="%.1f" lengthAdjust="spacingAndGlyphs"%s>%s</text>`+"\n",
			x, y+13.5, or(front, ink), room, more, html.EscapeString(word))
		x, text = x+room, text[skip+len(word):]
	}
}

func or(color, other string) string {
	if color == "" {
		return other
	}
	return color
}

// cutSequence takes a sequence that selects how characters look from a text.
func cutSequence(text string) (sequence, rest string, ok bool) {
	if !strings.HasPrefix(text, "\x1b[") {
		return "", text, false
	}
	return strings.Cut(text[2:], "m")
}

// length is the number of a line's characters.
func length(line string) (cells int) {
	for line != "" {
		if _, rest, ok := cutSequence(line); ok {
			line = rest
			continue
		}
		_, n := utf8.DecodeRuneInString(line)
		line = line[n:]
		cells++
	}
	return cells
}

// change is what a sequence makes of a look. ECMA-48, 8.3.117.
func (l look) change(sequence string) look {
	numbers := strings.FieldsFunc(sequence, func(r rune) bool { return r == ';' || r == ':' })
	if len(numbers) == 0 {
		return look{}
	}
	for n := 0; n < len(numbers); n++ {
		code, _ := strconv.Atoi(numbers[n]) // none = 0
		switch {
		case code == 0:
			l = look{}
		case code == 1:
			l.bold = true
		case code == 2:
			l.dim = true
		case code == 22:
			l.bold, l.dim = false, false
		case code == 7:
			l.swapped = true
		case code == 27:
			l.swapped = false
		case code == 39:
			l.ink = ""
		case code == 49:
			l.paper = ""
		case code >= 30 && code <= 37:
			l.ink = color256(code - 30)
		case code >= 40 && code <= 47:
			l.paper = color256(code - 40)
		case (code == 38 || code == 48) && n+2 < len(numbers) && numbers[n+1] == "5":
			number, _ := strconv.Atoi(numbers[n+2])
			if code == 38 {
				l.ink = color256(number)
			} else {
				l.paper = color256(number)
			}
			n += 2
		}
	}
	return l
}

// color256 is one of the 256 colours of xterm.
func color256(n int) string {
	basic := []string{"#1c1e22", "#d46a6a", "#87c98b", "#d9c26a", "#7aa2d6", "#b48ead", "#7fc1ca", "#d0d4da"}
	switch {
	case n < 8:
		return basic[n]
	case n < 16:
		return basic[n-8]
	case n < 232:
		level := func(v int) int {
			if v == 0 {
				return 0
			}
			return 55 + 40*v
		}
		n -= 16
		return fmt.Sprintf("#%02x%02x%02x", level(n/36), level(n/6%6), level(n%6))
	}
	gray := 8 + 10*(n-232)
	return fmt.Sprintf("#%02x%02x%02x", gray, gray, gray)
}
