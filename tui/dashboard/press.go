package dashboard

import (
	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"

	"upall/supervisor/control"
)

// press takes a key: what is in front of the screen comes first, then what holds
// everywhere, then the pane.
func (m *Model) press(k tea.KeyPressMsg) tea.Cmd {
	switch {
	case m.prompt != nil:
		m.typed(k)
		return nil
	case m.asks:
		return m.answer(k)
	}
	if cmd, taken := m.everywhere(k); taken {
		return cmd
	}
	if cmd, taken := m.pane().update(&m.shared, k); taken {
		return cmd
	}
	if m.view == viewServices {
		cmd, _ := m.logs.update(&m.shared, k)
		return cmd
	}
	return nil
}

// typed gives a key to the prompt.
func (m *Model) typed(msg tea.Msg) {
	if m.prompt == nil || !m.prompt.update(msg) {
		return
	}
	m.prompt = nil
	if m.logs.search != "" && !m.logs.isAt {
		m.logs.step(1)
	}
}

// everywhere are the keys that do the same in each view.
func (m *Model) everywhere(press tea.KeyPressMsg) (cmd tea.Cmd, taken bool) {
	k := &m.keys
	switch {
	case key.Matches(press, k.Interrupt):
		return m.interrupt(), true
	case key.Matches(press, k.Quit):
		m.asks = true
	case key.Matches(press, k.Detach):
		return m.leave(Detached), true
	case key.Matches(press, k.Suspend):
		return tea.Suspend, true
	case key.Matches(press, k.Help):
		m.isHelp, m.help.top = !m.isHelp, 0
	case key.Matches(press, k.Back):
		m.back()
	case key.Matches(press, k.Mouse):
		m.switchMouse()
	default:
		if cmd, taken := m.choose(press); taken {
			return cmd, true
		}
		return m.act(press)
	}
	return nil, true
}

// choose are the keys that choose what is looked at.
func (m *Model) choose(press tea.KeyPressMsg) (cmd tea.Cmd, taken bool) {
	k := &m.keys
	for v, b := range []key.Binding{k.Services, k.Edges, k.Logs, k.Timeline, k.Graph} {
		if key.Matches(press, b) {
			return m.open(view(v)), true
		}
	}
	switch {
	case key.Matches(press, k.NextView):
		return m.open((m.view + 1) % views), true
	case key.Matches(press, k.LastView):
		return m.open((m.view + views - 1) % views), true
	case key.Matches(press, k.Details):
		return m.openDetail(), true
	case key.Matches(press, k.Secrets) && m.isDetail:
		m.detail.reveals = !m.detail.reveals
		return nil, true
	case key.Matches(press, k.Search):
		m.ask("search:", m.logs.search, m.logs.lookFor)
		return nil, true
	case key.Matches(press, k.Filter):
		m.ask("only lines with:", m.logs.filter, m.logs.filterBy)
		return nil, true
	}
	return nil, false
}

// open shows a view.
func (m *Model) open(v view) tea.Cmd {
	m.view, m.isHelp, m.isDetail = v, false, false
	return m.drawTimeline()
}

// ask opens a prompt that is about the logs.
func (m *Model) ask(label, text string, use func(string)) {
	m.isHelp, m.isDetail = false, false
	if m.view != viewServices {
		m.view = viewLogs
	}
	m.prompt = &prompt{label: label, text: text, before: text, use: use}
}

// back leaves what is in front, else ends a search and then a filter, else goes to the
// first view.
func (m *Model) back() {
	switch {
	case m.isHelp:
		m.isHelp = false
	case m.isDetail:
		m.isDetail = false
	case m.logs.search != "":
		m.logs.lookFor("")
	case m.logs.filter != "":
		m.logs.filterBy("")
	default:
		m.view = viewServices
	}
}

func (m *Model) switchMouse() {
	m.usesMouse = !m.usesMouse
	if m.usesMouse {
		m.say("mouse on")
	} else {
		m.say("mouse off: the terminal selects text")
	}
}

// answer is what is pressed when the dashboard has asked whether to detach or to stop.
func (m *Model) answer(press tea.KeyPressMsg) tea.Cmd {
	switch {
	case key.Matches(press, m.keys.Detach):
		return m.leave(Detached)
	case press.String() == "s", key.Matches(press, m.keys.Interrupt):
		m.asks = false
		return m.stop()
	case key.Matches(press, m.keys.Back), key.Matches(press, m.keys.Quit):
		m.asks = false
	}
	return nil
}

// interrupt is Ctrl-C: it asks, and once the project is being stopped it kills.
func (m *Model) interrupt() tea.Cmd {
	if m.choice == Stopped || m.snapshot.Phase == control.Stopping {
		return m.stop()
	}
	m.asks = true
	return nil
}

// leave ends the dashboard.
func (m *Model) leave(c Choice) tea.Cmd {
	m.choice = c
	return tea.Quit
}

// stop has the project stopped, and goes on to show how. A second time it kills.
func (m *Model) stop() tea.Cmd {
	stop, text := m.options.Stop, "stopping; ctrl+c kills"
	if m.choice == Stopped {
		stop, text = m.options.Kill, "killing"
	}
	m.choice = Stopped
	m.say(text)
	return m.command("", stop)
}
