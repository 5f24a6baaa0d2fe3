package dashboard

import (
	"context"
	"fmt"
	"net"
	"strconv"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"

	"upall/supervisor/control"
)

// act are the keys that do something with the selected service, or its logs.
func (m *Model) act(press tea.KeyPressMsg) (cmd tea.Cmd, taken bool) {
	k := &m.keys
	service := m.selectedService()
	isAction := key.Matches(press, k.Restart, k.Stop, k.Start, k.Shell, k.Open)
	if isAction && service == "" {
		m.say("select a service first")
		return nil, true
	}
	switch {
	case key.Matches(press, k.Restart):
		return m.action(control.Restart, service, "restarting", "restarted"), true
	case key.Matches(press, k.Stop):
		return m.action(control.Stop, service, "stopping", "stopped"), true
	case key.Matches(press, k.Start):
		return m.action(control.Start, service, "starting", "started"), true
	case key.Matches(press, k.Shell):
		return m.shell(service), true
	case key.Matches(press, k.Open):
		return m.openPort(service), true
	case key.Matches(press, k.Copy):
		return m.copy(), true
	case key.Matches(press, k.Pager):
		return m.page(), true
	}
	return nil, false
}

// command runs something that may take its time. Its end is told, unless another has
// been begun since.
func (m *Model) command(done string, do func(context.Context) error) tea.Cmd {
	m.tag++
	tag, ctx := m.tag, m.options.context
	return func() tea.Msg { return doneMsg{tag, done, do(ctx)} }
}

// done tells of an action's end. What has failed is told in any case.
func (m *Model) done(d doneMsg) {
	switch {
	case d.err != nil:
		m.say("error: " + d.err.Error())
	case d.text != "" && d.tag == m.tag:
		m.say(d.text)
	}
}

func (m *Model) action(verb control.Verb, service, doing, done string) tea.Cmd {
	m.say(doing + " " + service)
	return m.command(done+" "+service, func(ctx context.Context) error {
		_, err := m.options.API.Act(ctx, control.Action{Verb: verb, Services: []string{service}})
		return err
	})
}

// openDetail shows all of the selected instance, and asks for what the files say.
func (m *Model) openDetail() tea.Cmd {
	service := m.selectedService()
	if service == "" {
		return nil
	}
	m.isHelp, m.isDetail = false, true
	m.tag++
	tag, ctx, api := m.tag, m.options.context, m.options.API
	m.detail.ask(service, tag)
	return func() tea.Msg {
		info, err := api.Service(ctx, service)
		return serviceMsg{tag, info, err}
	}
}

// shell gives the terminal to a shell in the service, until that ends.
func (m *Model) shell(service string) tea.Cmd {
	if m.options.Shell == nil {
		return nil
	}
	return tea.ExecProcess(m.options.Shell(service), func(err error) tea.Msg {
		if err != nil {
			return noticeMsg{fmt.Sprintf("the shell in %s has ended: %v", service, err)}
		}
		return nil
	})
}

// openPort opens the first port of the host that leads to a service.
func (m *Model) openPort(service string) tea.Cmd {
	m.say("looking for a published port of " + service)
	m.tag++
	tag, ctx, api, open := m.tag, m.options.context, m.options.API, m.options.Open
	return func() tea.Msg {
		info, err := api.Service(ctx, service)
		if err != nil {
			return doneMsg{tag, "", err}
		}
		url := urlOf(info.Published)
		if url == "" {
			return doneMsg{tag, service + " publishes no port", nil}
		}
		if open == nil || open(url) != nil {
			return copyMsg{url, "no browser can be opened here; copied: " + url}
		}
		return doneMsg{tag, "opened " + url, nil}
	}
}

// urlOf is the address of the first TCP port of the host.
func urlOf(all []control.Published) string {
	for _, p := range all {
		if p.Protocol != "tcp" || p.HostPort == 0 {
			continue
		}
		host := p.HostIP
		if host == "" || host == "0.0.0.0" || host == "::" {
			host = "localhost"
		}
		scheme := "http"
		if p.Target == 443 || p.Target == 8443 {
			scheme = "https"
		}
		return scheme + "://" + net.JoinHostPort(host, strconv.Itoa(int(p.HostPort)))
	}
	return ""
}

// copyMsg is a text for the clipboard, and what to say of it.
type copyMsg struct{ text, said string }

// copy takes what is shown: the details of a service, else lines of the logs.
func (m *Model) copy() tea.Cmd {
	if m.isDetail {
		return m.toClipboard(copyMsg{stripped(m.detail.lines), "copied the details"})
	}
	text := m.logs.text(&m.shared)
	return m.toClipboard(copyMsg{text, "copied the lines that are shown, without names"})
}

// toClipboard writes to the terminal's clipboard (OSC 52), also over SSH.
func (m *Model) toClipboard(c copyMsg) tea.Cmd {
	m.say(c.said)
	return tea.SetClipboard(c.text)
}

// page gives the terminal to a pager with the logs.
func (m *Model) page() tea.Cmd {
	text := m.logs.whole(&m.shared)
	if m.isDetail {
		text = stripped(m.detail.lines)
	}
	return tea.Exec(newPager(text, m.options.Pager), func(err error) tea.Msg {
		if err != nil {
			return noticeMsg{"the pager has ended: " + err.Error()}
		}
		return nil
	})
}
