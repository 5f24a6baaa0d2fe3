package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"upall/compose"
	"upall/internal/linux"
	"upall/supervisor/control"
	"upall/supervisor/graph"
	"upall/supervisor/process"
	"upall/supervisor/record"
	"upall/tui"
)

// graphFlags are the flags of `upall graph`.
type graphFlags struct {
	format             string
	declared, observed bool
	run                int
}

// graphFormats are the values of --format.
func graphFormats() []string { return []string{"text", "dot", "mermaid", "json"} }

func newGraph(files *projectFlags) *cobra.Command {
	var g graphFlags
	cmd := &cobra.Command{
		Use:   "graph",
		Short: "Show who is whose client: what is declared, and what was seen",
		Long: `Show who is whose client: what the files declare, and which connects were seen.

The connects are those of the project that is up; else those of its last run, until
` + "`upall down`" + ` forgets it; else there is what the files declare.`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := g.check(cmd); err != nil {
				return err
			}
			t, err := files.find(cmd)
			if err != nil {
				return err
			}
			in, err := g.input(cmd, t)
			if err != nil {
				return err
			}
			return g.print(cmd, graph.New(in))
		},
	}
	f := cmd.Flags()
	f.StringVar(&g.format, "format", "text", "`text`, dot (for Graphviz), mermaid or json")
	f.BoolVar(&g.declared, "declared", false, "show what is declared alone")
	f.BoolVar(&g.observed, "observed", false, "show what was seen alone")
	f.IntVar(&g.run, "run", 0, "show the run with this `number` of those that are over: 1 is the newest")
	return cmd
}

func (g *graphFlags) check(cmd *cobra.Command) error {
	switch {
	case !slices.Contains(graphFormats(), g.format):
		return usageError{fmt.Errorf("--format %s: unknown (known: %s)", g.format, strings.Join(graphFormats(), ", "))}
	case g.declared && g.observed:
		return usageError{errors.New("--declared and --observed: nothing is left with both")}
	case cmd.Flags().Changed("run") && g.run < 1:
		return usageError{fmt.Errorf("--run %d: runs are counted from 1, the newest", g.run)}
	}
	return nil
}

func (g *graphFlags) print(cmd *cobra.Command, of *graph.Graph) error {
	switch {
	case g.declared:
		of = of.Declared()
	case g.observed:
		of = of.Observed()
	}
	var text string
	var err error
	switch g.format {
	case "dot":
		text = of.Dot()
	case "mermaid":
		text = of.Mermaid()
	case "json":
		text, err = of.JSON()
	default:
		o := graph.TextOptions{Color: tui.UseColor(false, os.Getenv, isTerminal(os.Stdout))}
		if isTerminal(os.Stdout) {
			o.Width = linux.TerminalWidth(int(os.Stdout.Fd()))
		}
		text = of.Text(o)
	}
	fmt.Fprint(cmd.OutOrStdout(), text)
	return err
}

// input asks who knows most of the project: its supervisor, the record of a run
// that is over, the files.
func (g *graphFlags) input(cmd *cobra.Command, t *target) (graph.Input, error) {
	v, err := t.view(cmd)
	switch {
	case err != nil:
		return graph.Input{}, err
	case v != nil && g.run == 0:
		return v.graphInput()
	case v != nil:
		return t.runInput(cmd, g.run, g.run+1) // the present run is on record too
	}
	in, err := t.runInput(cmd, g.run, g.run)
	if g.run > 0 || err == nil || !errors.Is(err, fs.ErrNotExist) {
		return in, err
	}
	if t.project == nil {
		return graph.Input{}, fmt.Errorf("project %q is not up, and no run of it is on record", t.name)
	}
	plan, err := t.recordPlan(t.enabled)
	if err != nil {
		return graph.Input{}, err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "upall: project %q has not run yet: what its files declare\n", t.name)
	return graph.Input{Project: t.name, Plan: plan}, nil
}

// runInput is what is on record of a run that is over, the newest for 0. number is
// its place among all on record.
func (t *target) runInput(cmd *cobra.Command, run, number int) (graph.Input, error) {
	r, err := record.Open(recordBase(t.name), t.name, number)
	switch {
	case errors.Is(err, fs.ErrNotExist) && run > 0:
		return graph.Input{}, fmt.Errorf("project %q has no run %d on record", t.name, run)
	case err != nil:
		return graph.Input{}, err
	case run == 0 && len(r.Plan.Services) == 0: // it has ended before it had a plan
		return graph.Input{}, fs.ErrNotExist
	case run == 0:
		fmt.Fprintf(cmd.ErrOrStderr(), "upall: project %q is not up: its run of %s\n", t.name, r.Started.Local().Format(time.DateTime))
	}
	if r.Lost > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "upall: warning: %d events of the run are not on record: states may be older ones\n", r.Lost)
	}
	return graph.Input{Project: t.name, Plan: r.Plan, Edges: r.Edges, Instances: graph.AtEnd(r)}, nil
}

// graphInput is the project as it is now. What is declared is what the files say
// now, where they are known.
func (v *view) graphInput() (graph.Input, error) {
	in := graph.Input{
		Project: v.name, Edges: v.snapshot.Edges, Instances: v.snapshot.Instances,
		Runs: v.snapshot.Phase != control.Over,
	}
	if v.project != nil {
		var err error
		in.Plan, err = v.recordPlan(append(serviceNamesOf(in.Instances), v.enabled...))
		return in, err
	}
	plan, err := v.plannedThen()
	if err != nil {
		fmt.Fprintf(v.cmd.ErrOrStderr(), "upall: warning: what project %q declares is not known: %v\n", v.name, err)
	}
	in.Plan = plan
	return in, nil
}

// plannedThen is the plan of the project that is up, from its record.
func (v *view) plannedThen() (record.Plan, error) {
	lines, err := v.client.Record(v.cmd.Context())
	if err != nil {
		return record.Plan{}, err
	}
	defer func() { _ = lines.Close() }() // only read
	run, err := record.Read(lines)
	if err != nil {
		return record.Plan{}, err
	}
	return run.Plan, nil
}

// recordPlan is what the files say of the services, as a record has it.
func (t *target) recordPlan(services []string) (record.Plan, error) {
	plan, err := compose.NewPlan(t.project, compose.PlanOptions{Prefix: process.AnyRange()})
	if err != nil {
		return record.Plan{}, err
	}
	plan.Services = slices.DeleteFunc(plan.Services, func(s compose.Service) bool { return !slices.Contains(services, s.Name) })
	plan.Dependencies = slices.DeleteFunc(plan.Dependencies, func(d compose.Dependency) bool {
		return !slices.Contains(services, d.Client) || !slices.Contains(services, d.Target)
	})
	return record.PlanOf(plan, time.Now()), nil
}
