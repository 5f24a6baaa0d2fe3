package dashboard

import (
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"
)

// prompt is a line in which a text is typed. Each change is used at once.
type prompt struct {
	label  string
	text   string
	before string // what esc goes back to
	use    func(text string)
}

// update tells whether the line is done with.
func (p *prompt) update(m tea.Msg) (done bool) {
	switch m := m.(type) {
	case tea.PasteMsg:
		p.set(p.text + safe(m.Content, false))
	case tea.KeyPressMsg:
		switch k := m.String(); {
		case k == "enter":
			return true
		case k == "esc", k == "ctrl+c":
			p.set(p.before)
			return true
		case k == "backspace":
			_, n := utf8.DecodeLastRuneInString(p.text)
			p.set(p.text[:len(p.text)-n])
		case k == "ctrl+u":
			p.set("")
		case m.Text != "":
			p.set(p.text + safe(m.Text, false))
		}
	}
	return false
}

func (p *prompt) set(text string) {
	if text != p.text {
		p.text = text
		p.use(text)
	}
}

func (p *prompt) view(s *shared, cells int) string {
	return padded(" "+s.look.title.Render(p.label)+" "+p.text+"▏", cells)
}
