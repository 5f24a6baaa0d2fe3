package dashboard

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"upall/internal/event"
	"upall/supervisor/control"
	"upall/supervisor/status"
)

// shownEvents is how many events of a service its details have.
const shownEvents = 30

// detail is all that is known of the selected instance.
type detail struct {
	*text

	tag     int    // of the newest question
	service string // that info is of
	info    control.ServiceInfo
	failure string // why there is no info
	reveals bool   // secrets are shown
}

func newDetail() *detail {
	p := &detail{}
	p.text = &text{make: p.linesOf}
	return p
}

// ask forgets another service's file, and returns the tag of the question.
func (p *detail) ask(service string, tag int) {
	p.tag, p.top = tag, 0
	if service != p.service {
		p.service, p.info, p.failure, p.reveals = service, control.ServiceInfo{}, "", false
	}
}

// answer takes what the files say of the service, unless another is asked for by now.
func (p *detail) answer(m serviceMsg) {
	if m.tag != p.tag {
		return
	}
	p.info, p.failure = m.info, ""
	if m.err != nil {
		p.failure = m.err.Error()
	}
}

// writer makes lines with headings.
type writer struct {
	s     *shared
	cells int
	lines []string
}

func (w *writer) heading(title string) {
	if len(w.lines) > 0 {
		w.lines = append(w.lines, "")
	}
	w.lines = append(w.lines, " "+w.s.look.title.Render(title))
}

// say wraps a text.
func (w *writer) say(text string) {
	for n, line := range wrap(safe(text, false), w.cells-4) {
		indent := "   "
		if n > 0 {
			indent = "     "
		}
		w.lines = append(w.lines, indent+line)
	}
}

func (w *writer) fact(name, text string) {
	if text != "" {
		w.say(padded(name, 11) + text)
	}
}

func (p *detail) linesOf(s *shared, cells int) []string {
	n := s.selection()
	if n < 0 {
		return []string{"", " no service is selected"}
	}
	i := &s.snapshot.Instances[n]
	w := &writer{s: s, cells: cells}
	w.heading(s.whyTitle())
	for _, line := range s.why() {
		w.say(line)
	}
	p.facts(w, i)
	p.health(w, i)
	p.events(w, i)
	p.file(w)
	return w.lines
}

func (p *detail) facts(w *writer, i *status.Status) {
	w.heading(i.Instance)
	w.fact("state", fmt.Sprintf("%s, since %s", i.Text(w.s.now), clock(i.Since)))
	w.fact("runtime", string(i.Runtime))
	if i.PID != 0 {
		w.fact("pid", fmt.Sprint(i.PID))
	}
	w.fact("container", cut(i.ContainerID, 12))
	w.fact("ports", portsOf(w.s, i))
	w.fact("published", publishedText(p.info.Published, i.Instance))
	if i.Restarts > 0 {
		w.fact("restarts", fmt.Sprint(i.Restarts))
	}
	if use, ok := w.s.use[i.Instance]; ok {
		w.fact("uses", fmt.Sprintf("%s of a core, %s of memory", percent(use.CPU), bytesText(use.Memory)))
	}
	w.fact("waited for", strings.Join(w.s.clientsOf(i.Service), ", "))
}

// publishedText are the ports of the host that lead to an instance.
func publishedText(all []control.Published, instance string) string {
	var shown []string
	for _, p := range all {
		if p.Instance == instance {
			shown = append(shown, fmt.Sprintf("%s → %d/%s", hostPort(p), p.Target, p.Protocol))
		}
	}
	return strings.Join(slices.Compact(shown), ", ")
}

func hostPort(p control.Published) string {
	switch {
	case p.HostIP == "":
		return fmt.Sprint(p.HostPort)
	case strings.Contains(p.HostIP, ":"):
		return fmt.Sprintf("[%s]:%d", p.HostIP, p.HostPort)
	}
	return fmt.Sprintf("%s:%d", p.HostIP, p.HostPort)
}

func (p *detail) health(w *writer, i *status.Status) {
	if len(i.HealthLog) == 0 {
		return
	}
	w.heading("healthcheck: " + string(i.Health))
	for _, probe := range slices.Backward(i.HealthLog) {
		w.say(fmt.Sprintf("%s  exit %d after %s  %s", clock(probe.At), probe.Code, status.Span(probe.Elapsed), strings.TrimSpace(probe.Output)))
	}
}

func (p *detail) events(w *writer, i *status.Status) {
	all := w.s.events[i.Service]
	if len(all) == 0 {
		return
	}
	w.heading("events, the newest first")
	shown := 0
	for _, e := range slices.Backward(all) {
		if text := eventText(e); text != "" && shown < shownEvents {
			w.say(clock(e.Time) + "  " + text)
			shown++
		}
	}
}

// eventText says what an event of a service means, "" for what another says, too.
func eventText(e event.Event) string {
	edge := fmt.Sprintf("%s:%d", e.Target, e.Port)
	switch e.Type {
	case event.StateChanged:
		text := fmt.Sprintf("%s is %s", e.Instance, e.State)
		if e.State == event.Exited || e.State == event.Restarting {
			text += fmt.Sprintf(" (exit %d)", e.Code)
		}
		return withMore(text, e.Message)
	case event.Started:
		return fmt.Sprintf("%s runs (pid %d)", e.Instance, e.PID)
	case event.Listening:
		return fmt.Sprintf("%s listens on port %d", e.Instance, e.Port)
	case event.Ready:
		return fmt.Sprintf("%s is ready after %s", e.Instance, status.Span(e.Elapsed))
	case event.Healthy:
		return e.Instance + " is healthy"
	case event.Unhealthy:
		return withMore(e.Instance+" is unhealthy", e.Message)
	case event.Connected:
		return fmt.Sprintf("%s connects to %s for the first time", e.Instance, edge)
	case event.HoldBegan:
		return withMore(fmt.Sprintf("%s waits for %s", e.Instance, edge), e.Cause)
	case event.HoldEnded:
		return withMore(fmt.Sprintf("%s: %s after %s", edge, e.End, status.Span(e.Elapsed)), e.Cause)
	case event.Diagnosed, event.Notice, event.Warning:
		return e.Message
	}
	return ""
}

func withMore(text, more string) string {
	if more == "" {
		return text
	}
	return text + ": " + strings.TrimSpace(more)
}

func (p *detail) file(w *writer) {
	w.heading("what the files say")
	if p.failure != "" {
		w.say("it is not known: " + p.failure)
		return
	}
	w.fact("image", p.info.Image)
	w.fact("command", strings.Join(p.info.Command, " "))
	if len(p.info.Environment) == 0 {
		return
	}
	w.heading("environment")
	masked := false
	for _, name := range slices.Sorted(maps.Keys(p.info.Environment)) {
		value := p.info.Environment[name]
		if !p.reveals && looksSecret(name, value) {
			value, masked = "••••••", true
		}
		w.say(name + "=" + value)
	}
	if masked {
		w.say("(" + w.s.keys.Secrets.Help().Key + " shows what looks secret)")
	}
}

// looksSecret tells whether a variable may have a secret in it, by its name or as an
// address with a password.
func looksSecret(name, value string) bool {
	if value == "" {
		return false
	}
	name = strings.ToUpper(name)
	for _, word := range []string{"PASS", "PWD", "SECRET", "TOKEN", "KEY", "CREDENTIAL", "AUTH", "PRIVATE", "CERT", "DSN", "SALT"} {
		if strings.Contains(name, word) {
			return true
		}
	}
	_, rest, isURL := strings.Cut(value, "://")
	user, _, hasUser := strings.Cut(rest, "@")
	return isURL && hasUser && strings.Contains(user, ":")
}

// clock is a time of day.
func clock(at time.Time) string { return at.Format("15:04:05.000") }
