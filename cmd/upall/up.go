package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"upall/compose"
	"upall/internal/event"
	"upall/internal/linux"
	"upall/supervisor"
	"upall/supervisor/process"
	"upall/tui"
)

// upFlags are the flags of `upall up`.
type upFlags struct {
	attach, noAttach            []string
	noColor, noPrefix, stamps   bool
	exitCodeFrom                string
	abortOnExit, abortOnFailure bool
	noDeps                      bool
	timeout                     int
	holdTimeout                 time.Duration
	runtime                     string
	events                      string
}

func (u *upFlags) register(f *pflag.FlagSet) {
	f.StringArrayVar(&u.attach, "attach", nil, "show the logs of this `service` only; may be given several times")
	f.StringArrayVar(&u.noAttach, "no-attach", nil, "do not show the logs of this `service`; may be given several times")
	f.BoolVar(&u.noColor, "no-color", false, "print without colours")
	f.BoolVar(&u.noPrefix, "no-log-prefix", false, "print logs without their service's name")
	f.BoolVar(&u.stamps, "timestamps", false, "print the time of each line")
	f.StringVar(&u.exitCodeFrom, "exit-code-from", "", "stop when this `service` exits, with its exit code")
	f.BoolVar(&u.abortOnExit, "abort-on-container-exit", false, "stop when any service exits")
	f.BoolVar(&u.abortOnFailure, "abort-on-container-failure", false, "stop when any service exits with a code other than 0")
	f.BoolVar(&u.noDeps, "no-deps", false, "do not start what the named services depend on")
	f.IntVarP(&u.timeout, "timeout", "t", -1, "`seconds` between the stop signal and the kill; else each service's stop_grace_period")
	f.DurationVar(&u.holdTimeout, "hold-timeout", 0, "how long a connect may be held; else x-upall.hold_timeout, 60s")
	f.StringVar(&u.runtime, "runtime", "", "run all services as `process` or on the engine; else as x-upall.runtime says")
	f.StringVar(&u.events, "events", "", "append every event as a line of JSON to this `file`")
}

func newUp(project *projectFlags) *cobra.Command {
	var flags upFlags
	cmd := &cobra.Command{
		Use:   "up [SERVICE...]",
		Short: "Start services at once and hold each connect until its target listens",
		RunE: func(cmd *cobra.Command, services []string) error {
			return up(cmd, project, &flags, services)
		},
	}
	flags.register(cmd.Flags())
	return cmd
}

func up(cmd *cobra.Command, files *projectFlags, flags *upFlags, services []string) (err error) {
	if r := compose.Runtime(flags.runtime); r != "" && r != compose.Engine && r != compose.Process {
		return usageError{fmt.Errorf("--runtime %s: unknown (known: process, engine)", flags.runtime)}
	}
	project, sources, err := files.load(cmd.Context(), cmd.InOrStdin(), cmd.ErrOrStderr(), services, flags.noDeps)
	if err != nil {
		return err
	}
	options := compose.PlanOptions{
		Runtime: compose.Runtime(flags.runtime), HoldTimeout: flags.holdTimeout, Prefix: process.AnyRange(), Sources: sources,
	}
	// Planned before anything is touched: what is wrong in the file leaves no trace.
	plan, err := compose.NewPlan(project, options)
	if err != nil {
		return err
	}
	if err := flags.check(plan); err != nil {
		return err
	}
	state, err := process.OpenState(process.BaseDir(os.Getenv), plan.Name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, state.Close()) }()
	options.Prefix = state.Prefix
	if plan, err = compose.NewPlan(project, options); err != nil {
		return err
	}
	return flags.run(cmd, plan, state)
}

// check finds services that the flags name and the project does not have.
func (u *upFlags) check(plan *compose.Plan) error {
	for flag, names := range map[string][]string{
		"--exit-code-from": {u.exitCodeFrom}, "--attach": u.attach, "--no-attach": u.noAttach,
	} {
		for _, name := range names {
			known := slices.ContainsFunc(plan.Services, func(s compose.Service) bool { return s.Name == name })
			if name != "" && !known {
				return usageError{fmt.Errorf("%s %s: no such service is to be started", flag, name)}
			}
		}
	}
	return nil
}

// run brings the plan up, prints its events, and ends with its exit code.
func (u *upFlags) run(cmd *cobra.Command, plan *compose.Plan, state *process.State) error {
	record, err := openRecord(u.events)
	if err != nil {
		return err
	}
	printer := tui.NewPrinter(u.printing(cmd, plan))
	summary := tui.NewSummary()
	var failed error // the first error of printer or record
	bus := event.NewBus(func(e event.Event) {
		summary.Add(e)
		if err := errors.Join(record.write(e), printer.Print(e)); err != nil && failed == nil {
			failed = err
		}
	})
	for _, w := range plan.Warnings {
		bus.Emit(event.Event{Time: time.Now(), Type: event.Warning, Message: w})
	}
	control, interrupted, unwatch := watchSignals(func(message string) {
		bus.Emit(event.Event{Time: time.Now(), Type: event.Notice, Message: message})
	})
	defer unwatch()
	code, err := supervisor.Up(cmd.Context(), plan, u.options(state, bus), control)
	bus.Close()
	err = errors.Join(err, printer.Flush(), record.close())
	if table := summary.String(); table != "" {
		fmt.Fprint(cmd.ErrOrStderr(), "\n"+table)
	}
	if err != nil {
		return err
	}
	if sig := interrupted(); sig != 0 {
		code = 128 + int(sig)
	}
	if code != 0 {
		return exitCode(code)
	}
	return failed
}

func (u *upFlags) options(state *process.State, bus *event.Bus) supervisor.Options {
	o := supervisor.Options{
		State: state, Env: os.Environ(), Bus: bus, Logger: newLogger(os.Getenv("UPALL_LOG")),
		Ending:      supervisor.Ending{OnExit: u.abortOnExit, OnFailure: u.abortOnFailure, From: u.exitCodeFrom},
		Disabled:    linux.ParseDisabled(os.Getenv("UPALL_DISABLE")),
		Intercept:   os.Getenv("UPALL_INTERCEPT") != "off",
		HoldTimeout: compose.DefaultHoldTimeout,
	}
	if u.holdTimeout > 0 {
		o.HoldTimeout = u.holdTimeout
	}
	if u.timeout >= 0 {
		grace := time.Duration(u.timeout) * time.Second
		o.Grace = &grace
	}
	return o
}

func (u *upFlags) printing(cmd *cobra.Command, plan *compose.Plan) tui.Options {
	attached := map[string]bool{}
	var instances []string
	for _, s := range plan.Services {
		attached[s.Name] = (s.Attach && len(u.attach) == 0 || slices.Contains(u.attach, s.Name)) && !slices.Contains(u.noAttach, s.Name)
		for _, i := range s.Instances {
			instances = append(instances, i.Name)
		}
	}
	return tui.Options{
		Out: cmd.OutOrStdout(), Err: cmd.ErrOrStderr(), Prefix: !u.noPrefix, Timestamps: u.stamps,
		Color:     tui.UseColor(u.noColor, os.Getenv, isTerminal(os.Stdout)),
		Instances: instances, Attach: func(service string) bool { return attached[service] },
	}
}

func isTerminal(f *os.File) bool {
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}

// watchSignals turns the first SIGINT, SIGTERM or SIGHUP into a graceful stop and the
// second into a kill. interrupted returns the first, 0 if there was none.
func watchSignals(tell func(string)) (control supervisor.Control, interrupted func() syscall.Signal, unwatch func()) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	stop, kill, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	first := make(chan syscall.Signal, 1)
	go func() {
		select {
		case sig := <-signals:
			tell("stopping gracefully; press Ctrl+C again to kill")
			number, _ := sig.(syscall.Signal) // os/signal delivers no other type here
			first <- number
			close(stop)
		case <-done:
			return
		}
		select {
		case <-signals:
			tell("killing")
			close(kill)
		case <-done:
		}
	}()
	interrupted = func() syscall.Signal {
		select {
		case sig := <-first:
			return sig
		default:
			return 0
		}
	}
	// Signals stay caught: what is left to do must be done.
	return supervisor.Control{Stop: stop, Kill: kill}, interrupted, func() { close(done) }
}

// newLogger logs to stderr for developers of upall, at the level that the
// variable UPALL_LOG names; errors alone without it.
func newLogger(level string) *slog.Logger {
	at := slog.LevelError
	if level != "" {
		if err := at.UnmarshalText([]byte(level)); err != nil {
			at = slog.LevelInfo
		}
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: at}))
}

// record is a file of events, or nothing.
type record struct {
	file io.WriteCloser
}

func openRecord(path string) (*record, error) {
	if path == "" {
		return &record{}, nil
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the file for events: %w", err)
	}
	return &record{file}, nil
}

func (r *record) write(e event.Event) error {
	if r.file == nil {
		return nil
	}
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	if _, err := r.file.Write(append(line, '\n')); err != nil {
		r.file = nil // say it once
		return fmt.Errorf("write events: %w", err)
	}
	return nil
}

func (r *record) close() error {
	if r.file == nil {
		return nil
	}
	return r.file.Close()
}
