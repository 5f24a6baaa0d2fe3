package dashboard

import "strings"

// legend says what the signs in the table of services mean.
const legend = "● ready  ◌ waits for another  ○ not ready yet  ✗ failed  · ended"

// newHelp is all keys, and how to read the screen.
func newHelp() *text {
	return &text{make: func(s *shared, cells int) []string {
		w := &writer{s: s, cells: cells}
		w.heading("Why is a service not ready?")
		w.say("Select it: the line below the table says what it waits for, for how long and why. " +
			"A connect to a service that does not listen yet is held, and goes on when it does. " +
			s.keys.Details.Help().Key + " shows more: refusals, health, events.")
		w.say(legend)
		w.say("(5432): a port that is declared, and nobody listens there yet. 8080→80: a port of the host.")
		for _, section := range s.keys.Sections() {
			w.heading(section.Title)
			for _, b := range section.Bindings {
				h := b.Help()
				w.say(padded(h.Key, 8) + strings.TrimSpace(h.Desc))
			}
		}
		return w.lines
	}}
}
