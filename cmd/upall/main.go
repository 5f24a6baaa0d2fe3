// Command upall starts the services of a compose file at the same moment and
// holds each connect until its target listens.
//
// Use: see `upall help`. Ownership: main owns the process's signals and exit
// code; each command is one file. Promises: exit code 2 for bad input, 1 for a
// failure, else what docs/exit-codes.md says. Tests: testscript and internal/e2e
// run the binary.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"upall/compose"
	_ "upall/intercept/shim" // this executable is the shim too
	"upall/supervisor/engine"
)

// version is set by the build.
var version = "unversioned"

// Exit codes.
const (
	exitFailure = 1
	exitUsage   = 2
)

// exitCode is an error that is nothing but the exit code of the command.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// usageError marks errors in how the command was called.
type usageError struct{ error }

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, out, errOut io.Writer) int {
	root := newRoot(out, errOut)
	root.SetArgs(args)
	return codeOf(root.ExecuteContext(ctx), errOut)
}

// codeOf prints the error and returns the exit code that it means.
func codeOf(err error, errOut io.Writer) int {
	if err == nil {
		return 0
	}
	if code, ok := errors.AsType[exitCode](err); ok {
		return int(code)
	}
	exit, ofCompose := errors.AsType[engine.ExitError](err)
	if !ofCompose || exit.Status != "" {
		fmt.Fprintf(errOut, "upall: %v\n", err)
	}
	switch {
	case ofCompose:
		return exit.Code
	case isUsageError(err) || compose.IsInputError(err):
		return exitUsage
	}
	return exitFailure
}

// isUsageError tells whether the command line is wrong. Flags before the command
// are read on a way that passes no hook.
func isUsageError(err error) bool {
	_, ours := errors.AsType[usageError](err)
	_, unknown := errors.AsType[*pflag.NotExistError](err)
	_, bare := errors.AsType[*pflag.ValueRequiredError](err)
	_, malformed := errors.AsType[*pflag.InvalidSyntaxError](err)
	return ours || unknown || bare || malformed
}

func newRoot(out, errOut io.Writer) *cobra.Command {
	var project projectFlags
	root := &cobra.Command{
		Use:   "upall",
		Short: "Start every service at once; each connect waits until its target listens",
		Long: `upall starts the services of a compose file at the same moment, without depends_on,
retries or wait scripts: a connect to a service that does not listen yet is held
until it does.`,
		SilenceErrors: true, SilenceUsage: true,
		TraverseChildren:  true, // flags before a command are the project's, those after it the command's own
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.SetOut(out)
	root.SetErr(errOut)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	project.register(root.PersistentFlags())
	root.AddCommand(
		newUp(&project), newDash(&project), newDown(&project), newStart(&project), newStop(&project), newRestart(&project),
		newKill(&project), newPs(&project), newStats(&project), newLogs(&project), newEvents(&project), newWait(&project),
		newConfig(&project), newGraph(&project), newTimeline(&project), newWhy(&project), newDoctor(&project), newVersion(), newSupervise(), newRelay(),
	)
	root.AddCommand(newPassed(&project)...)
	root.AddCommand(newRefused()...)
	group(root)
	markUsageErrors(root)
	return root
}

// group sorts the commands in help.
func group(root *cobra.Command) {
	root.AddGroup(&cobra.Group{ID: groupOwn, Title: "Commands:"}, &cobra.Group{ID: groupPassed, Title: "Passed on to Compose:"})
	root.SetHelpCommandGroupID(groupOwn)
	root.SetCompletionCommandGroupID(groupOwn)
	for _, c := range root.Commands() {
		if c.GroupID == "" {
			c.GroupID = groupOwn
		}
	}
}

// markUsageErrors gives wrong arguments the exit code of wrong flags.
func markUsageErrors(root *cobra.Command) {
	root.Args = func(_ *cobra.Command, args []string) error {
		if len(args) > 0 {
			return usageError{fmt.Errorf("unknown command %q (see `upall help`)", args[0])}
		}
		return nil
	}
	root.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	for _, c := range root.Commands() {
		if check := c.Args; check != nil {
			c.Args = func(cmd *cobra.Command, args []string) error {
				if err := check(cmd, args); err != nil {
					return usageError{err}
				}
				return nil
			}
		}
	}
}
