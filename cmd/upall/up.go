package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"upall/compose"
	"upall/supervisor/engine"
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

	create      createFlags
	detach      bool
	wait        bool
	waitTimeout int

	screenFlags
	noScreen bool
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
	f.BoolVarP(&u.detach, "detach", "d", false, "stay in the background when everything has been started")
	f.BoolVar(&u.wait, "wait", false, "stay in the background when everything is ready")
	f.IntVar(&u.waitTimeout, "wait-timeout", 0, "`seconds` that --wait waits at most")
	f.BoolVar(&u.noScreen, "no-tui", false, "print logs with their service's name, also on a terminal")
	u.screenFlags.register(f)
	u.create.register(f)
}

// wantsScreen tells whether this is for a dashboard. Who says how logs are to be
// printed wants them printed.
func (u *upFlags) wantsScreen() bool {
	printsLogs := u.noScreen || u.plain || u.noPrefix || u.stamps || len(u.attach)+len(u.noAttach) > 0
	return !printsLogs && !u.detach && !u.wait && hasScreen()
}

func newUp(project *projectFlags) *cobra.Command {
	var flags upFlags
	cmd := &cobra.Command{
		Use:   "up [SERVICE...]",
		Short: "Start services at once and hold each connect until its target listens",
		RunE: func(cmd *cobra.Command, services []string) error {
			if err := flags.validate(); err != nil {
				return usageError{err}
			}
			return up(cmd, project, &flags, services)
		},
	}
	flags.register(cmd.Flags())
	return cmd
}

// validate finds flags that contradict each other.
func (u *upFlags) validate() error {
	detached := u.detach || u.wait
	switch {
	case u.runtime != "" && u.runtime != string(compose.Engine) && u.runtime != string(compose.Process):
		return fmt.Errorf("--runtime %s: unknown (known: process, engine)", u.runtime)
	case detached && (u.abortOnExit || u.abortOnFailure || u.exitCodeFrom != "" || len(u.attach) > 0):
		return errors.New("--detach and --wait cannot be combined with --abort-on-container-exit, --abort-on-container-failure, --exit-code-from or --attach")
	case u.waitTimeout < 0:
		return errors.New("--wait-timeout is negative")
	case detached && u.create.noStart:
		return errors.New("--no-start starts nothing that --detach or --wait could wait for")
	}
	return u.create.validate()
}

func up(cmd *cobra.Command, files *projectFlags, flags *upFlags, services []string) (err error) {
	if err := checkAgentMode(files.agent); err != nil {
		return err
	}
	image := prepareImage(files.agent)
	project, sources, err := files.load(cmd.Context(), cmd.InOrStdin(), cmd.ErrOrStderr(), services, flags.noDeps)
	if err != nil {
		return err
	}
	options := compose.PlanOptions{
		Runtime: compose.Runtime(flags.runtime), HoldTimeout: flags.holdTimeout, Prefix: process.AnyRange(), Sources: sources,
	}
	if options.Scale, err = flags.create.scales(); err != nil {
		return usageError{err}
	}
	flags.create.apply(project)
	// Planned before anything is touched: what is wrong in the file leaves no trace.
	plan, err := compose.NewPlan(project, options)
	if err != nil {
		return err
	}
	if err := flags.check(plan); err != nil {
		return err
	}
	u := &upRun{upFlags: flags, cmd: cmd, files: files, services: services, project: project, plan: plan, options: options, agentImage: image}
	if usesEngine(plan) {
		if u.containers, err = engine.Open(cmd.Context(), streams(cmd)); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, u.containers.Close()) }()
	}
	return u.run()
}

func usesEngine(plan *compose.Plan) bool {
	return slices.ContainsFunc(plan.Services, func(s compose.Service) bool { return s.Runtime == compose.Engine })
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

func (u *upFlags) printing(cmd *cobra.Command, plan *compose.Plan) tui.Options {
	attached := map[string]bool{}
	var instances []string
	for _, s := range plan.Services {
		isWanted := s.Attach && len(u.attach) == 0 || slices.Contains(u.attach, s.Name)
		attached[s.Name] = isWanted && !slices.Contains(u.noAttach, s.Name) && !u.detach && !u.wait
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
