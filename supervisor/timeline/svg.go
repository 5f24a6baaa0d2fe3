package timeline

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"upall/internal/words"
)

// The measures of a drawing, in pixels.
const (
	svgWidth  = 900
	svgRow    = 26 // from one instance to the next
	svgBar    = 14
	svgTop    = 12
	svgLetter = 7 // the width of one, about
	svgEnd    = 110
)

// svgStyle has the colours: they follow the reader's own light or dark.
//
// Each colour stands in a rule of its own: not every renderer knows variables, and
// one that does not know the second half has a light background.
const svgStyle = `<style>
text { font: 12px sans-serif; fill: #1f2328 }
.paper { fill: #ffffff } text.faint { fill: #6e7781 } .created, .stopping { fill: #d0d7de } .starting { fill: #8c959f }
.held { fill: #e3a008 } .listening { fill: #54aeff } .ready { fill: #2da44e }
.grid { stroke: #8b949e; stroke-opacity: 0.3 } .listens { stroke: #1f2328; stroke-width: 2 }
.release { stroke: #e3a008; fill: none; stroke-dasharray: 3 2 } .path { stroke: #cf222e; stroke-width: 3 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .paper { fill: #0d1117 } text.faint { fill: #8b949e } .created, .stopping { fill: #30363d }
  .starting { fill: #6e7681 } .held { fill: #d29922 } .listening { fill: #388bfd } .ready { fill: #3fb950 }
  .listens { stroke: #e6edf3 } .release { stroke: #d29922 } .path { stroke: #ff7b72 }
}
</style>
`

// drawing is an SVG in the making.
type drawing struct {
	t    *Timeline
	out  strings.Builder
	left float64 // where time begins
	rows map[string]int
}

// SVG is the start as a picture, which needs nothing else.
func (t *Timeline) SVG() string {
	d := &drawing{t: t, rows: map[string]int{}}
	name := 0
	for n, i := range t.Instances {
		name = max(name, utf8.RuneCountInString(clean(i.title)))
		d.rows[i.Name] = n
	}
	d.left = float64(min(name, 30)*svgLetter + 16)
	lines := t.svgLines()
	bottom := svgTop + len(t.Instances)*svgRow
	height := bottom + 52 + 18*len(lines)
	fmt.Fprintf(&d.out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img">`+"\n", svgWidth, height, svgWidth, height)
	d.out.WriteString("<title>" + escaped("The start of "+t.Project) + "</title>\n" + svgStyle)
	fmt.Fprintf(&d.out, `<rect class="paper" width="%d" height="%d"/>`+"\n", svgWidth, height)
	d.axis(bottom)
	for n, i := range t.Instances {
		d.row(n, i)
	}
	d.releases()
	d.path()
	d.legend(bottom + 38)
	for n, line := range lines {
		d.text(8, float64(bottom+62+18*n), "", line)
	}
	d.out.WriteString("</svg>\n")
	return d.out.String()
}

// svgLines are the words below the picture.
func (t *Timeline) svgLines() []string {
	if t.Path == nil {
		return []string{"nothing is ready yet"}
	}
	lines := words.Wrap(t.Path.Summary(), svgWidth/svgLetter, "…")
	if t.Estimate != nil {
		lines = append(lines, words.Wrap(t.Estimate.Summary(t.Path.Total), svgWidth/svgLetter, "…")...)
	}
	return lines
}

// x is where a moment is; nothing is beyond the window.
func (d *drawing) x(at time.Duration) float64 {
	window := d.t.window()
	return d.left + float64(min(at, window))/float64(window)*(svgWidth-svgEnd-d.left)
}

// y is the top of an instance's bar.
func (d *drawing) y(instance string) float64 {
	return float64(svgTop + d.rows[instance]*svgRow + (svgRow-svgBar)/2)
}

func (d *drawing) text(x, y float64, class, text string) {
	if class != "" {
		class = ` class="` + class + `"`
	}
	fmt.Fprintf(&d.out, `<text x="%.1f" y="%.1f"%s>%s</text>`+"\n", x, y, class, escaped(text))
}

func (d *drawing) line(class string, x1, y1, x2, y2 float64) {
	fmt.Fprintf(&d.out, `<line class="%s" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`+"\n", class, x1, y1, x2, y2)
}

func (d *drawing) axis(bottom int) {
	window := d.t.window()
	step := scale{svgWidth - svgEnd - int(d.left), window}.step(80)
	for at := time.Duration(0); at < window; at += step {
		d.line("grid", d.x(at), svgTop, d.x(at), float64(bottom))
		d.text(d.x(at), float64(bottom+14), "faint", tick(at))
	}
}

func (d *drawing) row(n int, i *Instance) {
	y, below := d.y(i.Name), float64(svgTop+n*svgRow+17)
	d.text(8, below, "", shorten(clean(i.title), 30, TextOptions{}))
	for _, r := range i.Runs {
		for _, p := range r.Phases {
			if from, to := d.x(p.From), d.x(p.To); to > from {
				fmt.Fprintf(&d.out, `<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%d"><title>%s</title></rect>`+"\n",
					p.Doing, from, y, to-from, svgBar, escaped(string(p.Doing)+" for "+words.Seconds(p.To-p.From)))
			}
		}
		for _, l := range r.Listening {
			if l.At <= d.t.window() {
				d.line("listens", d.x(l.At), y-2, d.x(l.At), y+svgBar+2)
			}
		}
	}
	d.text(svgWidth-svgEnd+8, below, "", shorten(clean(i.outcome()), svgEnd/svgLetter-1, TextOptions{}))
}

// releases are lines from who released a hold to its client.
func (d *drawing) releases() {
	for _, i := range d.t.Instances {
		for _, r := range i.Runs {
			for _, h := range r.Holds {
				if h.By != nil && *h.To <= d.t.window() {
					d.line("release", d.x(h.By.At), d.y(h.By.Instance)+svgBar/2, d.x(*h.To), d.y(i.Name)+svgBar/2)
				}
			}
		}
	}
}

// path underlines the critical path.
func (d *drawing) path() {
	if d.t.Path == nil {
		return
	}
	for _, s := range d.t.Path.Segments {
		y := d.y(s.Instance) + svgBar + 3
		d.line("path", d.x(s.From), y, d.x(s.To), y)
	}
}

func (d *drawing) legend(y int) {
	x := 8.0
	for _, doing := range []Doing{IsCreated, IsStarting, IsHeld, IsListening, IsReady} {
		fmt.Fprintf(&d.out, `<rect class="%s" x="%.1f" y="%d" width="12" height="10"/>`+"\n", doing, x, y-9)
		d.text(x+17, float64(y), "faint", string(doing))
		x += 90
	}
	d.line("listens", x+6, float64(y-10), x+6, float64(y+2))
	d.text(x+17, float64(y), "faint", "listens")
	d.line("path", x+90, float64(y-4), x+102, float64(y-4))
	d.text(x+107, float64(y), "faint", "critical path")
}

func escaped(text string) string {
	var out bytes.Buffer
	_ = xml.EscapeText(&out, []byte(text)) // a buffer takes all
	return out.String()
}
