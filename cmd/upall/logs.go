package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"upall/internal/event"
	"upall/supervisor/control"
	"upall/tui"
)

// logsFlags are the flags of `upall logs`.
type logsFlags struct {
	follow, noColor, noPrefix, stamps bool
	tail, since, until                string
}

func newLogs(files *projectFlags) *cobra.Command {
	var l logsFlags
	flags := pflag.NewFlagSet("logs", pflag.ContinueOnError)
	flags.BoolVarP(&l.follow, "follow", "f", false, "go on with what is written from now on, until the project is over")
	flags.StringVarP(&l.tail, "tail", "n", "all", "how many `lines` of each instance to begin with")
	flags.StringVar(&l.since, "since", "", "begin at this `moment`: a time, or how long ago as 10m")
	flags.StringVar(&l.until, "until", "", "end at this `moment`")
	flags.BoolVarP(&l.stamps, "timestamps", "t", false, "print the time of each line")
	flags.BoolVar(&l.noColor, "no-color", false, "print without colours")
	flags.BoolVar(&l.noPrefix, "no-log-prefix", false, "print lines without their instance's name")
	flags.Int("index", 0, passedOn("of the container, if the service has several"))
	return newShared(files, &shared{
		name: "logs", arguments: "[SERVICE...]", short: "Print what services have written", flags: flags,
		composes: []string{"index"}, isOurs: nothingOfOurs, run: l.logs, notUp: failsNotUp,
	})
}

// query reads the flags. until is zero for none.
func (l *logsFlags) query(now time.Time) (q control.LogQuery, until time.Time, err error) {
	q.Tail = -1
	if l.tail != "all" {
		if q.Tail, err = strconv.Atoi(l.tail); err != nil {
			return q, until, usageError{fmt.Errorf("--tail %s: it is to be a number of lines, or all", l.tail)}
		}
		q.Tail = max(q.Tail, -1) // as Docker has it
	}
	if q.Since, err = parseMoment(l.since, now); err != nil {
		return q, until, err
	}
	until, err = parseMoment(l.until, now)
	return q, until, err
}

func (l *logsFlags) logs(v *view, services []string) error {
	q, until, err := l.query(time.Now())
	if err != nil {
		return err
	}
	if err := v.checkUp(services); err != nil {
		return err
	}
	q.Services = v.attached(services)
	var instances []string
	for _, i := range v.of(q.Services) {
		instances = append(instances, i.Instance)
	}
	printer := tui.NewPrinter(tui.Options{
		Out: v.cmd.OutOrStdout(), Err: v.cmd.ErrOrStderr(), Prefix: !l.noPrefix, Timestamps: l.stamps,
		Color: tui.UseColor(l.noColor, os.Getenv, isTerminal(os.Stdout)), Instances: instances,
	})
	t := &tail{client: v.client, query: q, until: until, given: map[writer]time.Time{}, show: func(line control.LogLine) error {
		return printer.Print(event.Event{
			Time: line.Time, Type: event.Log, Service: line.Service, Instance: line.Instance, Stream: line.Stream, Message: line.Message,
		})
	}}
	return v.interruptible(func(ctx context.Context) error {
		if !l.follow || v.snapshot.Phase == control.Over {
			return t.read(ctx, t.query)
		}
		return t.follow(ctx, v.snapshot)
	})
}

// attached leaves out services that the file has not attached (attach: false),
// unless they are named. Nil means all.
func (v *view) attached(services []string) []string {
	if len(services) > 0 || v.project == nil {
		return services
	}
	all := serviceNamesOf(v.snapshot.Instances)
	attached := slices.DeleteFunc(slices.Clone(all), func(name string) bool {
		s, known := v.project.Services[name]
		return known && s.Attach != nil && !*s.Attach
	})
	if len(attached) == len(all) {
		return nil
	}
	return attached
}
