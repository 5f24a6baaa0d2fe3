package dashboard

import "charm.land/bubbles/v2/key"

// KeyMap is what keys do. It is the one place that says so: what is pressed is looked
// up here, and so is the help.
type KeyMap struct {
	Services, Edges, Logs, Timeline, Graph key.Binding
	NextView, LastView, Details, Back      key.Binding

	Up, Down, PageUp, PageDown, Top, Bottom key.Binding

	Restart, Stop, Start, Shell, Open key.Binding

	Search, Next, Previous, Filter, Merged, Follow, Wrap, Copy, Pager key.Binding

	Secrets, Mouse, Help, Suspend, Detach, Quit, Interrupt key.Binding
}

// Section is a part of the help.
type Section struct {
	Title    string
	Bindings []key.Binding
}

func bind(shown, does string, keys ...string) key.Binding {
	return key.NewBinding(key.WithKeys(keys...), key.WithHelp(shown, does))
}

// Keys returns the keys. Where other tools of this kind have a key for the same thing
// it works here too.
func Keys() KeyMap {
	return KeyMap{
		Services: bind("1", "services", "1", "f8"),
		Edges:    bind("2 e", "edges: who connects to whom, and the traffic", "2", "e"),
		Logs:     bind("3 l", "logs", "3", "l", "f4"),
		Timeline: bind("4 t", "timeline of the start", "4", "t"),
		Graph:    bind("5 g", "graph: declared and seen", "5", "g", "ctrl+q"),
		NextView: bind("tab ]", "next view", "tab", "]"),
		LastView: bind("⇧tab [", "view before", "shift+tab", "["),
		Details:  bind("enter", "details: why it is not ready, its events", "enter", "f3"),
		Back:     bind("esc", "back; ends a search or a filter", "esc"),

		Up:       bind("↑ k", "up", "up", "k"),
		Down:     bind("↓ j", "down", "down", "j"),
		PageUp:   bind("pgup", "a page up (of the logs)", "pgup", "ctrl+u"),
		PageDown: bind("pgdn", "a page down (of the logs)", "pgdown", "space"),
		Top:      bind("home", "to the beginning", "home", "<"),
		Bottom:   bind("end G", "to the end, and follow", "end", "G", ">"),

		Restart: bind("r", "restart the service", "r", "ctrl+r"),
		Stop:    bind("s", "stop the service", "s", "f9"),
		Start:   bind("u", "start the service", "u", "f7"),
		Shell:   bind("E", "shell in the service", "E"),
		Open:    bind("w", "open its published port in the browser", "w"),

		Search:   bind("/", "search in the logs", "/", "ctrl+f"),
		Next:     bind("n", "next match", "n", "ctrl+n"),
		Previous: bind("N", "match before", "N", "ctrl+p"),
		Filter:   bind("&", "show lines with a text alone", "&"),
		Merged:   bind("a", "logs of all services, or of the selected", "a"),
		Follow:   bind("f", "follow the newest lines", "f", "f5"),
		Wrap:     bind("W", "wrap long lines", "W", "f6"),
		Copy:     bind("y", "copy the lines that are shown", "y"),
		Pager:    bind("p", "read the logs in a pager", "p"),

		Secrets:   bind("v", "show values that look secret", "v"),
		Mouse:     bind("m", "mouse on or off (off: the terminal selects text)", "m"),
		Help:      bind("?", "help", "?", "f1"),
		Suspend:   bind("ctrl+z", "suspend upall; fg comes back", "ctrl+z"),
		Detach:    bind("d", "detach: leave the project running", "d", "ctrl+b"),
		Quit:      bind("q", "quit: asks whether to detach or to stop", "q", "f10"),
		Interrupt: bind("ctrl+c", "the same; again: stop, and then kill", "ctrl+c"),
	}
}

// Sections are all keys in the order of the help.
func (k KeyMap) Sections() []Section {
	return []Section{
		{"Views", []key.Binding{k.Services, k.Edges, k.Logs, k.Timeline, k.Graph, k.NextView, k.LastView, k.Details, k.Back}},
		{"Move", []key.Binding{k.Up, k.Down, k.PageUp, k.PageDown, k.Top, k.Bottom}},
		{"Services", []key.Binding{k.Restart, k.Stop, k.Start, k.Shell, k.Open}},
		{"Logs", []key.Binding{k.Search, k.Next, k.Previous, k.Filter, k.Merged, k.Follow, k.Wrap, k.Copy, k.Pager}},
		{"Else", []key.Binding{k.Secrets, k.Mouse, k.Help, k.Suspend, k.Detach, k.Quit, k.Interrupt}},
	}
}
