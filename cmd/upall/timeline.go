package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"upall/internal/linux"
	"upall/supervisor/record"
	"upall/supervisor/timeline"
	"upall/tui"
)

// timelineFlags are the flags of `upall timeline`.
type timelineFlags struct {
	format string
	run    int
}

// timelineFormats are the values of --format.
func timelineFormats() []string { return []string{"text", "json", "trace", "svg"} }

func newTimeline(files *projectFlags) *cobra.Command {
	var f timelineFlags
	cmd := &cobra.Command{
		Use:   "timeline",
		Short: "Show what the start took, and why: a chart, the critical path, an estimate",
		Long: `Show what each service did while the project started, who made the start as long as
it was (the critical path), and what it would have cost in dependency order.

It is about the project that is up; else about its last run, until ` + "`upall down`" + `
forgets it.`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(cmd); err != nil {
				return err
			}
			t, err := files.find(cmd)
			if err != nil {
				return err
			}
			run, err := f.input(cmd, t)
			if err != nil {
				return err
			}
			return f.print(cmd, timeline.New(run))
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.format, "format", "text", "`text`, json, trace (for Perfetto and Chrome) or svg")
	flags.IntVar(&f.run, "run", 0, "show the run with this `number` of those that are over: 1 is the newest")
	return cmd
}

func (f *timelineFlags) check(cmd *cobra.Command) error {
	switch {
	case !slices.Contains(timelineFormats(), f.format):
		return usageError{fmt.Errorf("--format %s: unknown (known: %s)", f.format, strings.Join(timelineFormats(), ", "))}
	case cmd.Flags().Changed("run") && f.run < 1:
		return usageError{fmt.Errorf("--run %d: runs are counted from 1, the newest", f.run)}
	}
	return nil
}

// input is the record of the project that is up, else that of a run that is over.
func (f *timelineFlags) input(cmd *cobra.Command, t *target) (*record.Run, error) {
	v, err := t.view(cmd)
	switch {
	case err != nil:
		return nil, err
	case v != nil && f.run == 0:
		return v.recordSoFar()
	}
	number := f.run
	if v != nil {
		number++ // the present run is on record too
	}
	run, err := record.Open(recordBase(t.name), t.name, number)
	switch {
	case errors.Is(err, fs.ErrNotExist) && f.run > 0:
		return nil, fmt.Errorf("project %q has no run %d on record", t.name, f.run)
	case errors.Is(err, fs.ErrNotExist), err == nil && f.run == 0 && len(run.Plan.Services) == 0: // it ended before it had a plan
		return nil, fmt.Errorf("project %q has not run yet (`upall up` starts it)", t.name)
	}
	return run, err
}

// recordSoFar is the record of the project that is up.
func (v *view) recordSoFar() (*record.Run, error) {
	lines, err := v.client.Record(v.cmd.Context())
	if err != nil {
		return nil, err
	}
	defer func() { _ = lines.Close() }() // only read
	return record.Read(lines)
}

func (f *timelineFlags) print(cmd *cobra.Command, t *timeline.Timeline) error {
	var text string
	var err error
	switch f.format {
	case "json":
		text, err = t.JSON()
	case "trace":
		text, err = t.Trace()
	case "svg":
		text = t.SVG()
	default:
		o := timeline.TextOptions{Color: tui.UseColor(false, os.Getenv, isTerminal(os.Stdout)), ASCII: !showsUnicode(os.Getenv)}
		if isTerminal(os.Stdout) {
			o.Width = linux.TerminalWidth(int(os.Stdout.Fd()))
		}
		text = t.Text(o)
	}
	fmt.Fprint(cmd.OutOrStdout(), text)
	return err
}

// showsUnicode tells whether more than ASCII can be shown: see locale(7).
func showsUnicode(env func(string) string) bool {
	locale := strings.ToUpper(cmp.Or(env("LC_ALL"), env("LC_CTYPE"), env("LANG")))
	isUTF8 := strings.Contains(locale, "UTF-8") || strings.Contains(locale, "UTF8")
	return isUTF8 && env("TERM") != "dumb"
}
