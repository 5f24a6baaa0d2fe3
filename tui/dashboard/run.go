package dashboard

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"time"

	tea "charm.land/bubbletea/v2"

	"upall/supervisor/control"
)

// Options say what a dashboard is about.
type Options struct {
	API           API
	Project       string
	Color         bool
	ReducedMotion bool
	// StaysWhenOver: it goes on when nothing of the project runs any more.
	StaysWhenOver bool
	Since         time.Time // what came before is history
	In            io.Reader // the terminal
	Out           io.Writer
	Env           []string // of the terminal

	// Stop stops the project and Kill does so at once: both return when that is asked
	// for or done.
	Stop, Kill func(context.Context) error
	// Shell is a shell in a service; Open opens an address in a browser; Pager is a
	// program that shows a text. Each may be nil.
	Shell func(service string) *exec.Cmd
	Open  func(url string) error
	Pager []string

	context context.Context // of Run: what commands do ends with it
}

// Choice is how a dashboard was left.
type Choice int

// The choices.
const (
	None     Choice = iota // nobody has chosen: the project is over, or gone
	Detached               // the project goes on
	Stopped                // the project is to end
)

// Result is how a dashboard was left, and what was known then.
type Result struct {
	Choice   Choice
	IsOver   bool
	Snapshot control.Snapshot
	Now      time.Time
	Err      error // why nothing more came from the project
}

// Dashboard is one that may be run.
type Dashboard struct {
	source  *source
	program *tea.Program
	model   *Model
}

// New returns a Dashboard.
func New(o Options) *Dashboard {
	feed := newSource(o.API, o.Color)
	model := newModel(o, feed, time.Now())
	program := tea.NewProgram(model,
		tea.WithInput(o.In), tea.WithOutput(o.Out), tea.WithEnvironment(o.Env), tea.WithoutSignalHandler(), tea.WithFPS(30))
	return &Dashboard{source: feed, model: model, program: program}
}

// Notify shows a line for a while. It is for a Dashboard that runs.
func (d *Dashboard) Notify(text string) { go d.program.Send(noticeMsg{text}) }

// Run shows the dashboard until the user leaves it, the project is over, or the
// context is. The terminal is then as it was.
func (d *Dashboard) Run(ctx context.Context) (Result, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	d.model.options.context = ctx
	broken := make(chan error, 1)
	go func() {
		defer close(broken)
		defer func() {
			if r := recover(); r != nil { // else the terminal would stay as it is
				broken <- fmt.Errorf("the dashboard's source has failed: %v", r)
				d.program.Kill()
			}
		}()
		d.source.run(ctx)
	}()
	defer context.AfterFunc(ctx, d.program.Quit)()
	_, err := d.program.Run()
	cancel()
	return d.model.result(), errors.Join(err, <-broken)
}
