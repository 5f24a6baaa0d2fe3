package tui

// ownColor is for upall's own prefix: bold, which is none of the instances'.
const ownColor = "1"

// instanceColors returns the parameters of the ANSI sequence "select graphic
// rendition" in Compose's order: cyan, yellow, green, magenta, blue, then the
// same in bold.
func instanceColors() []string {
	return []string{"36", "33", "32", "35", "34", "36;1", "33;1", "32;1", "35;1", "34;1"}
}

// colorOf returns the colour of an instance; one that is seen for the first time
// gets the next.
func (p *Printer) colorOf(instance string) string {
	color, ok := p.colors[instance]
	if !ok {
		all := instanceColors()
		color = all[len(p.colors)%len(all)]
		p.colors[instance] = color
	}
	return color
}

func (p *Printer) paint(text, color string) string {
	if !p.options.Color {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

// UseColor decides whether to print colours. noColor is the flag --no-color;
// env is os.Getenv; isTerminal is about the output. In this order: the flag,
// NO_COLOR (no-color.org: any value but the empty one), COMPOSE_ANSI (never,
// always), TERM=dumb and the terminal.
func UseColor(noColor bool, env func(string) string, isTerminal bool) bool {
	switch {
	case noColor, env("NO_COLOR") != "", env("COMPOSE_ANSI") == "never":
		return false
	case env("COMPOSE_ANSI") == "always":
		return true
	}
	return isTerminal && env("TERM") != "dumb"
}
