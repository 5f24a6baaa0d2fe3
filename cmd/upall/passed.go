package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"upall/supervisor/engine"
)

// The groups of commands in help.
const (
	groupOwn    = "own"
	groupPassed = "passed"
)

// passed are the commands that Compose's own implementation carries out.
var passed = []struct{ name, short string }{
	{"attach", "Connect the terminal to a service's container"},
	{"build", "Build the services' images"},
	{"commit", "Make an image of a service's container"},
	{"cp", "Copy files into a container or out of it"},
	{"export", "Write a container's file system as a tar archive"},
	{"images", "List the images of the containers"},
	{"pause", "Freeze containers"},
	{"port", "Print the host's port for a port of a container"},
	{"pull", "Fetch the services' images"},
	{"push", "Send the services' images to their registries"},
	{"rm", "Remove stopped containers"},
	{"top", "List the processes in containers"},
	{"unpause", "Let frozen containers go on"},
	{"volumes", "List volumes"},
}

// newPassed makes the commands that are passed on, run and ls among them.
func newPassed(files *projectFlags) []*cobra.Command {
	var cmds []*cobra.Command
	for _, p := range passed {
		cmds = append(cmds, passOn(files, p.name, p.short, func(cmd *cobra.Command, args []string) error {
			return pass(cmd, files, args)
		}))
	}
	return append(cmds,
		passOn(files, "exec", "Run a command in a running service", func(cmd *cobra.Command, args []string) error {
			return execIn(cmd, files, args)
		}),
		passOn(files, "run", "Run a command in a container of its own", func(cmd *cobra.Command, args []string) error {
			return runOneOff(cmd, files, args)
		}),
		passOn(files, "ls", "List projects that have containers", func(cmd *cobra.Command, args []string) error {
			return engine.Command(cmd.Context(), streams(cmd), args)
		}),
	)
}

// passOn makes a command whose flags and help are Compose's. do gets the name of
// the command with what follows it.
func passOn(files *projectFlags, name, short string, do func(*cobra.Command, []string) error) *cobra.Command {
	cmd := &cobra.Command{
		Use: name, Short: short, GroupID: groupPassed,
		DisableFlagParsing: true,
		ValidArgsFunction:  completeServices(files),
		RunE: func(cmd *cobra.Command, args []string) error {
			return do(cmd, append([]string{name}, args...))
		},
	}
	cmd.SetHelpFunc(func(cmd *cobra.Command, _ []string) {
		if err := engine.Command(cmd.Context(), streams(cmd), []string{name, "--help"}); err != nil {
			fmt.Fprintf(cmd.ErrOrStderr(), "upall: %v\n", err)
		}
	})
	return cmd
}

// pass passes a command line on, unless the project has no containers.
func pass(cmd *cobra.Command, files *projectFlags, args []string) error {
	t, err := files.find(cmd)
	if err == nil && !t.mayHaveContainers() {
		err = t.noContainers()
	}
	if err != nil && asksForHelp(args) {
		return engine.Command(cmd.Context(), streams(cmd), args)
	}
	if err != nil {
		return err
	}
	return t.command(cmd, args...)
}

func asksForHelp(args []string) bool {
	return slices.Contains(args, "--help") || slices.Contains(args, "-h")
}

// newRefused makes the commands of Compose that would make containers without
// upall, to say what to do instead.
func newRefused() []*cobra.Command {
	var cmds []*cobra.Command
	for name, advice := range map[string]func(args string) string{
		"create": func(args string) string { return "use `" + strings.TrimSpace("upall up --no-start "+args) + "`" },
		"scale":  func(args string) string { return "use `upall up --scale " + orElse(args, "SERVICE=N") + "`" },
		"watch":  func(string) string { return "it is not part of this version" },
	} {
		cmds = append(cmds, &cobra.Command{
			Use: name, Hidden: true, DisableFlagParsing: true,
			RunE: func(_ *cobra.Command, args []string) error {
				return usageError{fmt.Errorf("%s is not passed on to Compose: %s", name, advice(strings.Join(args, " ")))}
			},
		})
	}
	return cmds
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}
