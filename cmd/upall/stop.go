package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"upall/supervisor/process"
)

func newStop(files *projectFlags) *cobra.Command {
	var timeout int
	cmd := &cobra.Command{
		Use:   "stop [SERVICE...]",
		Short: "Stop services; containers are kept",
		RunE: func(cmd *cobra.Command, services []string) error {
			return stop(cmd, files, timeout, services)
		},
		ValidArgsFunction: completeServices(files),
	}
	registerTimeout(cmd, &timeout)
	return cmd
}

func registerTimeout(cmd *cobra.Command, timeout *int) {
	cmd.Flags().IntVarP(timeout, "timeout", "t", -1, "`seconds` between the stop signal and the kill; else each service's stop_grace_period")
}

func stop(cmd *cobra.Command, files *projectFlags, timeout int, services []string) error {
	t, err := files.find(cmd)
	if err != nil {
		return err
	}
	if err := t.checkContainers(services, "stopping"); err != nil {
		return err
	}
	if len(services) == 0 {
		if found, err := t.end(cmd, timeout); found || err != nil {
			return err
		}
	}
	if !t.mayHaveContainers() {
		t.sayNothingIsUp(cmd, false)
		return nil
	}
	return t.command(cmd, stopArgs(timeout, services)...)
}

func stopArgs(timeout int, services []string) []string {
	return afterDashes(append([]string{"stop"}, timeoutArgs(timeout)...), services)
}

// afterDashes adds names, none of which is a flag.
func afterDashes(args, names []string) []string {
	if len(names) == 0 {
		return args
	}
	return append(append(args, "--"), names...)
}

// checkContainers refuses services that do not exist or run as processes: the
// upall that has a project up cannot be told anything but to end.
func (t *target) checkContainers(services []string, doing string) error {
	if err := t.check(services); err != nil {
		return err
	}
	if name := t.firstProcess(services); name != "" {
		return fmt.Errorf("service %q: %s single processes needs the control API, which is not part of this version", name, doing)
	}
	return nil
}

// end ends the upall that has the project up, which stops all services, and
// waits for it without limit. With a timeout, in seconds, that is not negative
// Compose stops the containers first: upall itself cannot be told one.
func (t *target) end(cmd *cobra.Command, timeout int) (found bool, err error) {
	pid, running := t.holder()
	if !running {
		return false, nil
	}
	if timeout >= 0 && t.mayHaveContainers() {
		if err := t.command(cmd, stopArgs(timeout, nil)...); err != nil {
			return true, err
		}
	}
	ctx, cancel := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	fmt.Fprintf(cmd.ErrOrStderr(), "upall: stopping project %q (pid %d)\n", t.name, pid)
	found, err = process.Terminate(ctx, process.BaseDir(os.Getenv), t.name)
	if errors.Is(err, context.Canceled) {
		fmt.Fprintf(cmd.ErrOrStderr(), "upall: project %q is still stopping\n", t.name)
		return found, exitCode(128 + int(syscall.SIGINT))
	}
	return found, err
}

func (t *target) sayNothingIsUp(cmd *cobra.Command, found bool) {
	if !found {
		fmt.Fprintf(cmd.ErrOrStderr(), "upall: project %q is not up\n", t.name)
	}
}
