package dashboard

import (
	"time"

	tea "charm.land/bubbletea/v2"

	"upall/internal/event"
	"upall/supervisor/control"
	"upall/supervisor/timeline"
)

// messageLasts is how long a line for the user stays.
const messageLasts = 6 * time.Second

// Model is the dashboard. It belongs to one goroutine, and does nothing that takes
// time: that is for commands.
type Model struct {
	shared
	options Options
	source  *source

	width, height int
	isDark        bool
	view          view
	isHelp        bool
	isDetail      bool
	asks          bool // whether to detach or to stop
	usesMouse     bool
	prompt        *prompt // nil = none

	services *services
	edges    *edges
	logs     *logs
	timeline *text
	graph    *text
	detail   *detail
	help     *text

	message   string // a line for the user
	messageAt time.Time
	tag       int  // of the newest question
	drawing   bool // a timeline is made
	drawn     int  // of so many events
	choice    Choice
	isOver    bool
	err       error // why nothing more comes
}

// newModel returns the model of a dashboard that nothing is known of yet.
func newModel(o Options, s *source, now time.Time) *Model {
	m := &Model{
		options: o, source: s, isDark: true, usesMouse: true, width: 80, height: 24,
		shared:   shared{state: newState(), keys: Keys(), color: o.Color, isStill: o.ReducedMotion},
		services: &services{}, edges: &edges{}, logs: newLogs(), timeline: newTimelineText(), graph: newGraphText(),
		detail: newDetail(), help: newHelp(),
	}
	m.now = now
	m.look = newStyles(m.isDark, m.color)
	return m
}

// Init begins to listen.
func (m *Model) Init() tea.Cmd {
	return tea.Batch(m.source.next, m.tick(), tea.RequestBackgroundColor)
}

// Update takes a message.
func (m *Model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	cmd := m.take(msg)
	scan := m.logs.scan(&m.shared)
	m.layout()
	return m, tea.Batch(cmd, scan)
}

func (m *Model) take(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case snapshotMsg, batchMsg, statsMsg, recordMsg, goneMsg:
		return m.hear(msg)
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case tea.BackgroundColorMsg:
		m.isDark = msg.IsDark()
		m.look = newStyles(m.isDark, m.color)
	case tickMsg:
		m.now = msg.now
		if m.now.Sub(m.messageAt) > messageLasts {
			m.message = ""
		}
		return tea.Batch(m.tick(), m.drawTimeline())
	case timelineMsg:
		m.drawing = false
		m.line = msg.line
	case serviceMsg:
		m.detail.answer(msg)
	case doneMsg:
		m.done(msg)
	case copyMsg:
		return m.toClipboard(msg)
	case noticeMsg:
		m.say(msg.text)
	case tea.PasteMsg:
		m.typed(msg)
	case tea.KeyPressMsg:
		return m.press(msg)
	case tea.MouseClickMsg, tea.MouseWheelMsg:
		return m.mouse(msg)
	}
	return nil
}

// hear takes what the source gives, and asks it for more.
func (m *Model) hear(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case snapshotMsg:
		m.takeSnapshot(msg.Snapshot)
	case batchMsg:
		m.takeBatch(msg)
		return tea.Batch(m.source.next, m.notices(msg.events))
	case statsMsg:
		m.takeStats(msg.Stats)
	case recordMsg:
		m.run = msg.run
		return tea.Batch(m.source.next, m.drawTimeline())
	case goneMsg:
		m.isGone, m.err = true, msg.err
		return tea.Quit
	}
	return m.source.next
}

// notices are the events that a person should know of whatever is on the screen, and
// the end of the project.
func (m *Model) notices(events []event.Event) tea.Cmd {
	for _, e := range events {
		isOld := e.Time.Before(m.options.Since)
		switch {
		case isOld:
		case e.Type == event.Warning, e.Type == event.Crashed, e.Type == event.CycleFound:
			m.say(withMore(string(e.Type), e.Message))
		case e.Type == event.ProjectChanged && e.State == event.StateOver && (!m.options.StaysWhenOver || m.choice == Stopped):
			m.isOver = true
			return tea.Quit
		case e.Type == event.ProjectChanged && e.State == event.Failed:
			m.say("the project did not come up: " + e.Message)
		}
	}
	return nil
}

// say shows a line for a while.
func (m *Model) say(text string) { m.message, m.messageAt = safe(text, false), m.now }

// tick is the clock: it goes quickly while somebody waits.
func (m *Model) tick() tea.Cmd {
	every := time.Second
	if m.isMoving() && !m.isStill {
		every = 100 * time.Millisecond
	}
	return tea.Tick(every, func(now time.Time) tea.Msg { return tickMsg{now} })
}

// drawTimeline makes the timeline anew, where that may be another: a command, for it
// may take its time.
func (m *Model) drawTimeline() tea.Cmd {
	isNew := m.line == nil || m.run != nil && (len(m.run.Events) != m.drawn || m.isMoving() && m.view == viewTimeline)
	if m.run == nil || m.drawing || !isNew {
		return nil
	}
	m.drawing = true
	m.drawn = len(m.run.Events)
	run, now := *m.run, m.now
	return func() tea.Msg {
		// What goes on goes on until now, and not until the last event.
		run.Events = append(run.Events[:len(run.Events):len(run.Events)], event.Event{Time: now, Type: event.Notice})
		return timelineMsg{timeline.New(&run)}
	}
}

// View is what is on the screen.
func (m *Model) View() tea.View {
	v := tea.NewView(m.render())
	v.AltScreen = true
	v.WindowTitle = "upall " + m.options.Project
	if m.usesMouse {
		v.MouseMode = tea.MouseModeCellMotion
	}
	return v
}

// result is how the dashboard was left.
func (m *Model) result() Result {
	return Result{Choice: m.choice, IsOver: m.isOver || m.snapshot.Phase == control.Over, Snapshot: m.snapshot, Now: m.now, Err: m.err}
}
