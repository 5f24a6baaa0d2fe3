package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"upall/compose"
	"upall/internal/event"
	"upall/supervisor/control"
	"upall/supervisor/status"
)

// whyFlags are the flags of `upall why`.
type whyFlags struct{ format string }

func newWhy(files *projectFlags) *cobra.Command {
	var w whyFlags
	cmd := &cobra.Command{
		Use:               "why [SERVICE...]",
		Short:             "Say why services wait, are refused or are not ready",
		ValidArgsFunction: completeServices(files),
		RunE: func(cmd *cobra.Command, services []string) error {
			if w.format != "text" && w.format != "json" {
				return usageError{fmt.Errorf("--format %s: unknown (known: text, json)", w.format)}
			}
			v, err := files.viewUp(cmd)
			if err != nil {
				return err
			}
			if err := v.checkServices(services); err != nil {
				return err
			}
			if err := v.checkUp(services); err != nil {
				return err
			}
			return w.print(v, v.reasons(services))
		},
	}
	cmd.Flags().StringVar(&w.format, "format", "text", "`text` or json")
	return cmd
}

// reason is why an instance is not ready, or its connects do not go on.
type reason struct {
	Service   string              `json:"service"`
	Instance  string              `json:"instance"`
	Ready     bool                `json:"ready"`
	State     event.State         `json:"state"`
	Code      int                 `json:"code"`
	Missing   string              `json:"missing,omitempty"`
	LastLine  string              `json:"last_line,omitempty"` // of its output, if it has failed
	WaitingOn []status.Wait       `json:"waiting_on"`
	Diagnoses []control.Diagnosis `json:"diagnoses"`
	Mentions  []string            `json:"mentions,omitempty"` // of services that it cannot reach

	status status.Status
}

// reasons are those of the instances of services, all for none.
func (v *view) reasons(services []string) (all []reason) {
	mentions := v.mentions()
	for _, s := range v.of(services) {
		r := reason{
			Service: s.Service, Instance: s.Instance, Ready: s.Ready, State: s.State, Code: s.Code, Missing: s.Missing,
			WaitingOn: append([]status.Wait{}, s.WaitingOn...), Diagnoses: []control.Diagnosis{}, status: s,
		}
		r.Diagnoses = append(r.Diagnoses, status.ReasonOf(s, v.snapshot.Diagnoses).Diagnoses...)
		if !s.Ready || len(services) > 0 {
			r.Mentions = mentions[s.Service]
		}
		if s.HasFailed() {
			r.LastLine = v.lastLine(s)
		}
		all = append(all, r)
	}
	return all
}

// mentions are by client what the files name and it cannot reach.
func (v *view) mentions() map[string][]string {
	all := map[string][]string{}
	if v.project == nil {
		return all
	}
	known := serviceNamesOf(v.snapshot.Instances)
	runs := func(service string) bool { return slices.Contains(known, service) }
	for _, m := range compose.Mentions(v.project.Services, runs, func(service string) bool { return v.processes[service] }) {
		all[m.Client] = append(all[m.Client], m.String())
	}
	return all
}

// lines say it to a person, with what the files have to do with it.
func (r *reason) lines(name string, now time.Time) []string {
	known := status.Reason{Status: r.status, Diagnoses: r.Diagnoses, LastLine: r.LastLine}
	lines := known.Lines(name, now)
	for _, m := range r.Mentions {
		lines = append(lines, name+": "+m)
	}
	return lines
}

// lastLine is what the instance has written last, "" if nobody knows.
func (v *view) lastLine(s status.Status) (last string) {
	query := control.LogQuery{Services: []string{s.Service}, Tail: lastLines}
	_ = v.client.Logs(v.cmd.Context(), query, func(l control.LogLine) error { // without it there is enough to say
		if l.Instance == s.Instance && strings.TrimSpace(l.Message) != "" {
			last = l.Message
		}
		return nil
	})
	return last
}

func (w *whyFlags) print(v *view, all []reason) error {
	out := v.cmd.OutOrStdout()
	if w.format == "json" {
		e := json.NewEncoder(out)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		return e.Encode(append([]reason{}, all...))
	}
	several := map[string]int{}
	for _, r := range all {
		several[r.Service]++
	}
	for _, r := range all {
		name := r.Service
		if several[name] > 1 {
			name = r.Instance
		}
		printLines(out, r.lines(name, time.Now()))
	}
	return nil
}
