package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/spf13/cobra"

	"upall/compose"
	"upall/supervisor/engine"
	"upall/supervisor/process"
)

// target is the project that a command is about, as far as Compose's part of it
// goes.
type target struct {
	flags *projectFlags
	name  string
	// project has all services, also those that no profile enables. It is nil
	// where the project is named and no file says what is in it.
	project   *types.Project
	enabled   []string        // the services that are, of those of project
	processes map[string]bool // the services that run as processes
	warnings  []string        // about the files; Compose gives them too where it reads them itself
}

// find finds the project by its files, else by its name alone.
func (p *projectFlags) find(cmd *cobra.Command) (*target, error) {
	t := &target{flags: p, processes: map[string]bool{}}
	project, sources, err := p.loadWith(cmd.Context(), cmd.InOrStdin(), nil, false, func(line string) { t.warnings = append(t.warnings, line) })
	if err != nil && p.isByName(os.Getenv) {
		t.name = cmp.Or(p.name, os.Getenv("COMPOSE_PROJECT_NAME"))
		return t, nil
	}
	if err != nil {
		return nil, err
	}
	all := *project
	all.Services, all.DisabledServices = project.AllServices(), nil
	plan, err := compose.NewPlan(&all, compose.PlanOptions{Prefix: process.AnyRange(), Sources: sources})
	if err != nil {
		return nil, err
	}
	t.name, t.project, t.enabled = project.Name, &all, project.ServiceNames()
	for _, s := range plan.Services {
		if s.Runtime == compose.Process {
			t.processes[s.Name] = true
		}
	}
	return t, nil
}

// mayHaveContainers tells whether there is anything to ask an engine about.
func (t *target) mayHaveContainers() bool {
	return t.project == nil || len(t.processes) < len(t.project.Services)
}

// noContainers is the error for a command that is about containers alone.
func (t *target) noContainers() error {
	return fmt.Errorf("no service of project %q runs in a container (%s)", t.name, strings.Join(t.project.ComposeFiles, ", "))
}

// firstProcess returns the first of the names that is a service which runs as a
// process, "" if none is.
func (t *target) firstProcess(names []string) string {
	for _, name := range names {
		if t.processes[name] {
			return name
		}
	}
	return ""
}

// containersOf returns those of the services that are containers.
func (t *target) containersOf(services []string) []string {
	return slices.DeleteFunc(slices.Clone(services), func(name string) bool { return t.processes[name] })
}

// check finds names of services that the project does not have.
func (t *target) check(names []string) error {
	if t.project == nil {
		return nil
	}
	for _, name := range names {
		if _, ok := t.project.Services[name]; !ok {
			return usageError{fmt.Errorf("no such service: %s (services: %s)", name, strings.Join(t.project.ServiceNames(), ", "))}
		}
	}
	return nil
}

// command runs a command of Compose for the project. Compose reads the files
// itself where it can: it refuses services without image and build, and standard
// input can be read once.
func (t *target) command(cmd *cobra.Command, args ...string) error {
	if t.project == nil || len(t.processes) == 0 && !t.flags.readsStdin() {
		return t.explain(args, engine.Command(cmd.Context(), streams(cmd), append(t.flags.args(), args...)))
	}
	return t.commandOn(cmd, containersOnly(t.project, t.processes), args...)
}

// commandOn runs a command of Compose for another form of the project.
func (t *target) commandOn(cmd *cobra.Command, project *types.Project, args ...string) (err error) {
	for _, line := range t.warnings {
		fmt.Fprintf(cmd.ErrOrStderr(), "upall: warning: %s\n", line)
	}
	file, err := writeProject(project)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	line := append(t.flags.argsBesideFiles(), "--file", pathOf(file), "--project-name", t.name, "--project-directory", project.WorkingDir)
	return t.explain(args, engine.Command(cmd.Context(), streams(cmd), append(line, args...)))
}

// explain says why Compose does not know a service that the file has.
func (t *target) explain(args []string, err error) error {
	exit, ok := errors.AsType[engine.ExitError](err)
	if err == nil || ok && exit.Status == "" {
		return err
	}
	var names []string
	for _, arg := range args[1:] {
		name, _, _ := strings.Cut(arg, ":") // cp's SERVICE:PATH
		names = append(names, name)
	}
	if name := t.firstProcess(names); name != "" && strings.Contains(err.Error(), name) {
		return fmt.Errorf("%w: service %q runs as a process, and %s is for containers", err, name, args[0])
	}
	return err
}

// again runs another command of upall for the same project.
func again(cmd *cobra.Command, args ...string) error {
	root := cmd.Root()
	root.SetArgs(args) // the flags of the project are set, they are root's own
	return root.ExecuteContext(cmd.Context())
}

func streams(cmd *cobra.Command) engine.Streams {
	in, ok := cmd.InOrStdin().(io.ReadCloser)
	if !ok {
		in = io.NopCloser(cmd.InOrStdin())
	}
	return engine.Streams{In: in, Out: cmd.OutOrStdout(), Err: cmd.ErrOrStderr()}
}

// completeServices completes the names of the project's services.
func completeServices(files *projectFlags) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		ctx := cmd.Context()
		if ctx == nil || files.readsStdin() {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return serviceNames(ctx, files, args), cobra.ShellCompDirectiveNoFileComp
	}
}

func serviceNames(ctx context.Context, files *projectFlags, but []string) []string {
	project, _, err := files.loadWith(ctx, nil, nil, false, func(string) {})
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(project.ServiceNames(), func(name string) bool { return slices.Contains(but, name) })
}
