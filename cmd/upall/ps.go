package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"upall/internal/event"
	"upall/internal/linux"
	"upall/tui"
)

// psFlags are the flags of `upall ps`.
type psFlags struct {
	all, quiet, services, noTrunc bool
	status                        []string
	format                        string
}

func newPs(files *projectFlags) *cobra.Command {
	var p psFlags
	flags := pflag.NewFlagSet("ps", pflag.ContinueOnError)
	flags.BoolVarP(&p.all, "all", "a", false, "show what has ended, too")
	flags.BoolVarP(&p.quiet, "quiet", "q", false, "print the IDs of containers and of processes alone")
	flags.BoolVar(&p.services, "services", false, "print the names of services alone")
	flags.StringArrayVar(&p.status, "status", nil, "show what is in this `state` alone: one of upall's, or of Compose's; may be given several times")
	flags.StringVar(&p.format, "format", "", "`table` or json, which has Compose's fields; a template is passed on to Compose, for containers alone")
	flags.BoolVar(&p.noTrunc, "no-trunc", false, "shorten nothing, also on a terminal")
	flags.String("filter", "", passedOn("show what has this `property`"))
	flags.Bool("orphans", true, passedOn("show containers of services that the files no longer have"))
	return newShared(files, &shared{
		name: "ps", arguments: "[SERVICE...]", short: "List services: their state, their ports and what they wait for", flags: flags,
		about: `PORTS are where a service listens; (5432) is declared, and nobody listens there yet.
WAITING ON is what its connects wait for, for how long and why.

`,
		composes: []string{"filter", "orphans"}, isOurs: nothingOfOurs, isComposes: p.template, run: p.ps,
		notUp: func(cmd *cobra.Command, t *target) error {
			if !p.quiet && !p.services && p.format != "json" {
				fmt.Fprint(cmd.OutOrStdout(), psTable(nil, time.Now()).Format(0))
			}
			return saysNotUp(cmd, t)
		},
	})
}

// template tells whether the output is to be of another form than ours.
func (p *psFlags) template() string {
	if p.format == "" || p.format == "table" || p.format == "json" {
		return ""
	}
	return "--format " + p.format
}

// states are the values of --status, Compose's and then those that it has not.
func states() []string {
	all := []string{"paused", "restarting", "removing", "running", "dead", "created", "exited"}
	for _, s := range []event.State{event.Starting, event.StateWaiting, event.StateListening, event.StateReady, event.StateStopping, event.Failed} {
		all = append(all, string(s))
	}
	return all
}

func (p *psFlags) ps(v *view, services []string) error {
	for _, s := range p.status {
		if !slices.Contains(states(), s) {
			return usageError{fmt.Errorf("--status %s: unknown (known: %s)", s, strings.Join(states(), ", "))}
		}
	}
	rows := v.psRows(services)
	shown := slices.DeleteFunc(slices.Clone(rows), func(r psRow) bool { return !p.shows(r) })
	out := v.cmd.OutOrStdout()
	switch {
	case p.quiet:
		printLines(out, idsOf(shown))
	case p.services:
		printLines(out, servicesOf(shown))
	case p.format == "json":
		lines := json.NewEncoder(out)
		lines.SetEscapeHTML(false)
		for _, r := range shown {
			if err := lines.Encode(r.json(v.name, time.Now())); err != nil {
				return err
			}
		}
	default:
		width := 0
		if !p.noTrunc && isTerminal(os.Stdout) {
			width = linux.TerminalWidth(int(os.Stdout.Fd()))
		}
		fmt.Fprint(out, psTable(shown, time.Now()).Format(width))
		if hint := hidden(rows, shown); hint != "" && len(p.status) == 0 && isTerminal(os.Stderr) {
			fmt.Fprintln(v.cmd.ErrOrStderr(), hint)
		}
	}
	return nil
}

func printLines(out io.Writer, lines []string) {
	for _, line := range lines {
		fmt.Fprintln(out, line)
	}
}

// shows tells whether the flags want the row.
func (p *psFlags) shows(r psRow) bool {
	if len(p.status) > 0 {
		return slices.Contains(p.status, r.composeState()) || slices.Contains(p.status, string(r.State))
	}
	return p.all || !r.isOver()
}

func idsOf(rows []psRow) (ids []string) {
	for _, r := range rows {
		if id := r.id(); id != "" {
			ids = append(ids, id)
		}
	}
	return ids
}

func servicesOf(rows []psRow) (names []string) {
	for _, r := range rows {
		if !slices.Contains(names, r.Service) {
			names = append(names, r.Service)
		}
	}
	return names
}

// hidden says how many rows are not shown, by their states: "2 exited, 1 failed
// (-a shows them)".
func hidden(all, shown []psRow) string {
	count := map[string]int{}
	for _, r := range all {
		count[cmp.Or(string(r.State), r.composeState())]++
	}
	for _, r := range shown {
		count[cmp.Or(string(r.State), r.composeState())]--
	}
	var parts []string
	for _, s := range states() {
		if n := count[s]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, s))
		}
	}
	switch {
	case len(parts) == 0:
		return ""
	case len(all)-len(shown) == 1:
		return parts[0] + " (-a shows it)"
	}
	return strings.Join(parts, ", ") + " (-a shows them)"
}

// psTable is the table of the rows.
func psTable(rows []psRow, now time.Time) tui.Table {
	table := tui.Table{Columns: []tui.Column{
		{Title: "NAME", Cut: true},
		{Title: "SERVICE", Spare: 2},
		{Title: "RUNTIME", Spare: 1},
		{Title: "STATE", Cut: true},
		{Title: "PORTS", Cut: true},
		{Title: "RESTARTS", Spare: 3, Nothing: "0"},
		{Title: "WAITING ON", Cut: true},
	}}
	for _, r := range rows {
		table.Rows = append(table.Rows, []string{
			r.name(), r.Service, string(r.Runtime), r.text(now), r.ports(), strconv.Itoa(r.Restarts), r.WaitsText(now),
		})
	}
	return table
}
