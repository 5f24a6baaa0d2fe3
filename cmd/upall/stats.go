package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"upall/internal/linux"
	"upall/supervisor/control"
)

const (
	// statsInterval is between samples that follow each other.
	statsInterval = time.Second
	// statsMoment is what the rates of a single sample are of.
	statsMoment = 500 * time.Millisecond
)

// statsFlags are the flags of `upall stats`.
type statsFlags struct {
	noStream, noTrunc bool
	format            string
}

func newStats(files *projectFlags) *cobra.Command {
	var s statsFlags
	flags := pflag.NewFlagSet("stats", pflag.ContinueOnError)
	flags.BoolVar(&s.noStream, "no-stream", false, "print one sample and end")
	flags.BoolVar(&s.noTrunc, "no-trunc", false, "shorten nothing, also on a terminal")
	flags.StringVar(&s.format, "format", "", "`table`, or json: a line for each sample, as of the control API; a template is passed on to Compose, for containers alone")
	flags.BoolP("all", "a", false, passedOn("show containers that do not run, too"))
	return newShared(files, &shared{
		name: "stats", arguments: "[SERVICE...]", short: "Show what instances use of the machine, and the bytes between services", flags: flags,
		about: `The second table has who is whose client: its connects since the project came up and
each second, how many of them were held and have failed, how many are open now, and the
bytes that went over all of them.

`,
		composes: []string{"all"}, isOurs: nothingOfOurs, isComposes: s.template, run: s.stats, notUp: saysNotUp,
	})
}

// template tells whether the output is to be of another form than ours.
func (s *statsFlags) template() string {
	if s.format == "" || s.format == "table" || s.format == "json" {
		return ""
	}
	return "--format " + s.format
}

var errPrinted = errors.New("the sample is printed")

func (s *statsFlags) stats(v *view, services []string) error {
	interval := statsInterval
	if s.noStream {
		interval = statsMoment
	}
	return v.interruptible(func(ctx context.Context) error {
		err := v.client.Stats(ctx, interval, func(sample control.Stats) error {
			if s.noStream && sample.Interval == 0 {
				return nil // it has no rates
			}
			if err := s.print(v.cmd, only(sample, services)); err != nil || !s.noStream {
				return err
			}
			return errPrinted
		})
		if errors.Is(err, errPrinted) {
			return nil
		}
		return err
	})
}

// only leaves in what is of the services: all for none.
func only(sample control.Stats, services []string) control.Stats {
	if len(services) == 0 {
		return sample
	}
	sample.Edges = slices.DeleteFunc(sample.Edges, func(e control.EdgeStats) bool {
		isClient := !e.FromHost && slices.Contains(services, e.Client)
		return !isClient && !slices.Contains(services, e.Target)
	})
	sample.Instances = slices.DeleteFunc(sample.Instances, func(i control.InstanceStats) bool { return !slices.Contains(services, i.Service) })
	return sample
}

// repaint puts what follows in the place of what a terminal shows (ECMA-48: cursor
// position, erase in page).
const repaint = "\x1b[H\x1b[J"

func (s *statsFlags) print(cmd *cobra.Command, sample control.Stats) error {
	var out bytes.Buffer
	if s.format == "json" {
		lines := json.NewEncoder(&out)
		lines.SetEscapeHTML(false)
		if err := lines.Encode(sample); err != nil {
			return err
		}
	} else {
		width := 0
		if isTerminal(os.Stdout) {
			if !s.noTrunc {
				width = linux.TerminalWidth(int(os.Stdout.Fd()))
			}
			if !s.noStream {
				out.WriteString(repaint)
			}
		}
		fmt.Fprintf(&out, "%s\n%s", instancesTable(sample.Instances).Format(width), edgesTable(sample.Edges).Format(width))
		if !s.noStream {
			out.WriteByte('\n')
		}
	}
	_, err := cmd.OutOrStdout().Write(out.Bytes())
	return err
}
