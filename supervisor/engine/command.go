package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"

	dockercli "github.com/docker/cli/cli"
	"github.com/docker/cli/cli/command"
	commands "github.com/docker/compose/v5/cmd/compose"
	"github.com/docker/compose/v5/cmd/prompt"
	"github.com/docker/compose/v5/pkg/api"
	"github.com/docker/compose/v5/pkg/compose"
	"github.com/moby/moby/client"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// ExitError is the end of a Compose command with an exit code of its own.
type ExitError struct {
	Code   int    // never 0
	Status string // what to say; "" = nothing, the command has said it
}

func (e ExitError) Error() string {
	if e.Status == "" {
		return fmt.Sprintf("exit code %d", e.Code)
	}
	return e.Status
}

// codeUsage is the exit code for a command line that is wrong.
const codeUsage = 2

// Command runs a Compose command line by Compose's own implementation: flags of
// the project, a command, the rest ("-p", "web", "exec", "-T", "db", "true").
// The error is an ExitError where the command has an exit code of its own, one
// that says what to do where the engine cannot be reached, or Compose's.
// Compose ends this process itself, with the right code, after an exec that
// failed and after each wait: nothing may depend on what comes after Command.
func Command(ctx context.Context, s Streams, args []string) error {
	cli, err := newCLI(s)
	if err != nil {
		return err
	}
	root := composeRoot(cli)
	root.SetArgs(args)
	root.SetIn(s.In)
	root.SetOut(s.Out)
	root.SetErr(s.Err)
	return commandErr(cli, root.ExecuteContext(ctx))
}

// commandErr turns an error of Docker's and Compose's code into one of ours.
func commandErr(cli *command.DockerCli, err error) error {
	status, isStatus := errors.AsType[dockercli.StatusError](err)
	_, ours := errors.AsType[ExitError](err)
	switch {
	case err == nil, ours:
		return err
	case client.IsErrConnectionFailed(err):
		return explain(cli.Client().DaemonHost(), err)
	case isStatus && status.StatusCode != 0:
		return ExitError{Code: status.StatusCode, Status: status.Error()}
	}
	return err
}

// composeRoot is Compose's command, which believes that it is called compose and
// shows itself as upall. The code below it finds it by that name and asks the root
// for a hook to run first; here it is the root itself, so it runs once.
func composeRoot(cli *command.DockerCli) *cobra.Command {
	options := &commands.BackendOptions{Options: []compose.Option{
		compose.WithPrompt(prompt.NewPrompt(cli.In(), cli.Out()).Confirm),
	}}
	root := commands.RootCommand(cli, options)
	root.Annotations = map[string]string{cobra.CommandDisplayNameAnnotation: "upall"}
	root.SilenceErrors, root.SilenceUsage = true, true
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return ExitError{Code: codeUsage, Status: err.Error()}
	})
	prepare := root.PersistentPreRunE
	root.PersistentPreRunE = func(cmd *cobra.Command, args []string) error {
		root.PersistentPreRunE = nil
		return prepare(cmd, args)
	}
	rename(root)
	return root
}

// rename makes help speak of upall, and gives wrong arguments the exit code of
// wrong flags.
func rename(cmd *cobra.Command) {
	ours := func(text string) string { return strings.ReplaceAll(text, "docker compose", "upall") }
	cmd.Use, cmd.Short, cmd.Long, cmd.Example = ours(cmd.Use), ours(cmd.Short), ours(cmd.Long), ours(cmd.Example)
	cmd.DisableFlagsInUseLine = true
	cmd.Flags().VisitAll(func(f *pflag.Flag) { f.Usage = ours(f.Usage) })
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return ExitError{Code: codeUsage, Status: fmt.Sprintf("%v (see `%s --help`)", err, cmd.CommandPath())}
			}
			return nil
		}
	}
	for _, child := range cmd.Commands() {
		rename(child)
	}
}

// RunArguments reads what follows "run" on a command line: the service, and
// whether Compose is to leave alone what it depends on. The service is "" where
// the line asks for help or is wrong, which Command says.
func RunArguments(s Streams, args []string) (service string, noDeps bool, err error) {
	cli, err := newCLI(s)
	if err != nil {
		return "", false, err
	}
	run, _, err := composeRoot(cli).Find([]string{"run"})
	if err != nil {
		return "", false, fmt.Errorf("find Compose's run: %w", err)
	}
	if run.ParseFlags(args) != nil {
		return "", false, nil
	}
	noDeps, err = run.Flags().GetBool("no-deps")
	if help, _ := run.Flags().GetBool("help"); help || run.Flags().NArg() == 0 {
		return "", noDeps, err
	}
	return run.Flags().Arg(0), noDeps, err
}

// NetworkNames returns the names of the project's networks that the engine has.
func NetworkNames(ctx context.Context, s Streams, project string) (names []string, err error) {
	cli, err := newCLI(s)
	if err != nil {
		return nil, err
	}
	on := cli.Client()
	defer func() { err = errors.Join(err, on.Close()) }()
	found, err := on.NetworkList(ctx, client.NetworkListOptions{
		Filters: make(client.Filters).Add("label", api.ProjectLabel+"="+project),
	})
	if err != nil {
		return nil, explain(on.DaemonHost(), err)
	}
	for _, n := range found.Items {
		names = append(names, n.Name)
	}
	return names, nil
}
