package main

import (
	"context"
	"fmt"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"upall/internal/linux"
	"upall/supervisor/control"
)

func newKill(files *projectFlags) *cobra.Command {
	var signal string
	flags := pflag.NewFlagSet("kill", pflag.ContinueOnError)
	flags.StringVarP(&signal, "signal", "s", "SIGKILL", "`signal` to send")
	flags.Bool("remove-orphans", false, passedOn("remove containers of services that the files no longer have"))
	return newShared(files, &shared{
		name: "kill", arguments: "[SERVICE...]", short: "Send services a signal, SIGKILL by default", flags: flags,
		composes: []string{"remove-orphans"}, isOurs: nothingOfOurs, notUp: saysNotUp,
		run: func(v *view, services []string) error { return v.kill(signal, services) },
	})
}

// kill: after SIGKILL services stay down, any other signal is theirs to handle.
func (v *view) kill(signal string, services []string) error {
	sig, err := linux.ParseSignal(signal)
	if err != nil {
		return usageError{err}
	}
	if err := v.checkUp(services); err != nil {
		return err
	}
	action, doing := control.Action{Verb: control.Kill, Services: services}, "killing"
	if sig != syscall.SIGKILL {
		action.Signal = signal
		doing = fmt.Sprintf("sending SIG%s to", strings.TrimPrefix(strings.ToUpper(signal), "SIG"))
	}
	what := fmt.Sprintf("project %q", v.name)
	if len(services) > 0 {
		what = strings.Join(services, ", ")
	}
	fmt.Fprintf(v.cmd.ErrOrStderr(), "upall: %s %s\n", doing, what)
	return v.interruptible(func(ctx context.Context) error {
		_, err := v.client.Act(ctx, action)
		return err
	})
}
