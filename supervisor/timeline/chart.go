package timeline

import (
	"strings"
	"time"
	"unicode/utf8"

	"upall/internal/event"
)

// style is how a chart shows what an instance does.
type style struct{ sign, color string }

// signs are the styles of all doings, and of the marks.
func signs(o TextOptions) map[Doing]style {
	if o.ASCII {
		return map[Doing]style{
			IsCreated: {".", "2"}, IsStarting: {"-", ""}, IsHeld: {"~", "33"}, IsListening: {"=", "36"}, IsReady: {"#", "32"}, IsStopping: {"s", "2"},
			listens: {"L", "1"}, exits: {"x", ""}, fails: {"x", "31"},
		}
	}
	return map[Doing]style{
		IsCreated: {"·", "2"}, IsStarting: {"─", ""}, IsHeld: {"░", "33"}, IsListening: {"▒", "36"}, IsReady: {"█", "32"}, IsStopping: {"▪", "2"},
		listens: {"┃", "1"}, exits: {"×", ""}, fails: {"×", "31"},
	}
}

// The marks.
const (
	listens Doing = "listens"
	exits   Doing = "exits"
	fails   Doing = "fails"
)

// chart draws a row for each instance.
func (t *Timeline) chart(out *strings.Builder, o TextOptions) {
	name, outcome := 0, 0
	for _, i := range t.Instances {
		name = max(name, utf8.RuneCountInString(clean(i.title)))
		outcome = max(outcome, utf8.RuneCountInString(clean(i.outcome())))
	}
	name, outcome = min(name, o.Width/4), min(outcome, o.Width/3)
	bar := scale{o.Width - name - outcome - 4, t.window()}
	for _, i := range t.Instances {
		end := shorten(clean(i.outcome()), outcome, o)
		out.WriteString(padded(clean(i.title), name, o) + "  " + bar.row(i, o) + "  " + end + "\n")
	}
	out.WriteString(strings.TrimRight(strings.Repeat(" ", name+2)+bar.axis(), " ") + "\n\n")
	legend(out, o)
}

// window is how much of time a chart shows.
func (t *Timeline) window() time.Duration {
	return max(time.Millisecond, min(t.End, 1<<60)*21/20) // what is ready is to be seen
}

// scale is how time becomes cells.
type scale struct {
	cells  int
	window time.Duration
}

// cell is where a moment is; it may be beyond the last.
func (s scale) cell(at time.Duration) int {
	return int(float64(at) / float64(s.window) * float64(s.cells))
}

// row draws the runs of an instance.
func (s scale) row(i *Instance, o TextOptions) string {
	cells := make([]Doing, s.cells)
	mark := func(at time.Duration, what Doing) {
		if n := s.cell(at); n >= 0 && n < s.cells {
			cells[n] = what
		}
	}
	for _, r := range i.Runs {
		for _, p := range r.Phases {
			for n := max(0, s.cell(p.From)); n <= s.cell(p.To) && n < s.cells; n++ {
				cells[n] = p.Doing
			}
		}
		for _, l := range r.Listening {
			mark(l.At, listens)
		}
		switch {
		case r.Ended != nil && r.Stopping == nil && (r.Code != 0 || r.State == event.Failed):
			mark(*r.Ended, fails)
		case r.Ended != nil:
			mark(*r.Ended, exits)
		}
	}
	return painted(cells, o)
}

// painted is a row of cells, with colours by runs of the same.
func painted(cells []Doing, o TextOptions) string {
	var out strings.Builder
	all := signs(o)
	for n := 0; n < len(cells); {
		length := 1
		for n+length < len(cells) && cells[n+length] == cells[n] {
			length++
		}
		of := all[cells[n]]
		if of.sign == "" {
			of.sign = " "
		}
		out.WriteString(paint(strings.Repeat(of.sign, length), of.color, o))
		n += length
	}
	return out.String()
}

func paint(text, color string, o TextOptions) string {
	if !o.Color || color == "" {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

// axis is the line below the rows.
func (s scale) axis() string {
	line := []rune(strings.Repeat(" ", s.cells))
	step := s.step(10)
	for at := time.Duration(0); at < s.window; at += step {
		label := []rune(tick(at))
		if n := s.cell(at); n+len(label) <= len(line) {
			copy(line[n:], label)
		}
	}
	return string(line)
}

// tick is the label of a round moment.
func tick(at time.Duration) string {
	text := strings.ReplaceAll(at.String(), "µ", "u")
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}

// step is how far apart the labels of an axis are: the first round time that gives
// each label so many cells.
func (s scale) step(cells int) time.Duration {
	for unit := time.Microsecond; unit < 1<<59; unit *= 10 {
		for _, n := range []time.Duration{1, 2, 5} {
			if s.cell(n*unit) >= cells {
				return n * unit
			}
		}
	}
	return s.window
}

// legend says what the signs mean.
func legend(out *strings.Builder, o TextOptions) {
	words := map[Doing]string{listens: "listens", exits: "exits"}
	line, length := "", 0
	for _, d := range append(doings(), listens, exits) {
		word := words[d]
		if word == "" {
			word = string(d)
		}
		of := signs(o)[d]
		more := utf8.RuneCountInString(of.sign + " " + word)
		if length > 0 && length+2+more > o.Width {
			out.WriteString(line + "\n")
			line, length = "", 0
		}
		if length > 0 {
			line, length = line+"  ", length+2
		}
		line, length = line+paint(of.sign, of.color, o)+" "+word, length+more
	}
	out.WriteString(line + "\n")
}
