package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"upall/supervisor/status"
)

// execFlags are the flags of `upall exec` that have a meaning for a process.
type execFlags struct {
	dir   string
	env   []string
	index int
}

// execIn runs a command in a service: Compose does in a container, and upall beside a
// process.
func execIn(cmd *cobra.Command, files *projectFlags, args []string) error {
	var f execFlags
	flags := pflag.NewFlagSet("exec", pflag.ContinueOnError)
	flags.SetInterspersed(false)
	flags.Usage = func() {}
	flags.StringVarP(&f.dir, "workdir", "w", "", "")
	flags.StringArrayVarP(&f.env, "env", "e", nil, "")
	flags.IntVar(&f.index, "index", 1, "")
	flags.BoolP("no-tty", "T", false, "") // a process gets the terminal as it is
	flags.BoolP("interactive", "i", true, "")
	flags.BoolP("tty", "t", true, "")
	err := flags.Parse(args[1:])
	line := flags.Args()
	t, findErr := files.find(cmd)
	if err != nil || findErr != nil || len(line) < 2 {
		return pass(cmd, files, args) // Compose says what is wrong, and knows more flags
	}
	if !t.mayHaveContainers() { // else Compose says it
		if err := t.check(line[:1]); err != nil {
			return err
		}
	}
	v, err := t.view(cmd)
	switch {
	case err != nil:
		return err
	case v != nil && v.processes[line[0]]:
		return v.execBeside(f, line[0], line[1:])
	case t.processes[line[0]]:
		return failsNotUp(cmd, t)
	}
	return pass(cmd, files, args)
}

// execBeside runs a command where a process is: with its names, its folder and its
// environment. The connects of the command are not held.
func (v *view) execBeside(f execFlags, service string, line []string) error {
	var process *status.Status
	for _, s := range v.of([]string{service}) {
		if s.Instance == fmt.Sprintf("%s-%d", service, f.index) {
			process = &s
		}
	}
	if process == nil || process.PID == 0 {
		return fmt.Errorf("service %q does not run", service)
	}
	return execCode(beside(process.PID, f, line).Run())
}

// beside is a command in the namespaces of a process. nsenter(1) enters them, for who
// has several threads cannot.
func beside(pid int, f execFlags, line []string) *exec.Cmd {
	enter := []string{"--target", fmt.Sprint(pid), "--mount"}
	if os.Geteuid() != 0 {
		enter = append(enter, "--user", "--preserve-credentials")
	}
	dir := f.dir
	if dir == "" {
		dir, _ = os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid)) // else that of this command
	}
	if dir != "" {
		enter = append(enter, "--wdns="+dir)
	}
	cmd := exec.Command("nsenter", append(append(enter, "--"), line...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(environ(pid), f.env...)
	if term := os.Getenv("TERM"); term != "" {
		cmd.Env = append(cmd.Env, "TERM="+term)
	}
	return cmd
}

// environ is the environment that a process was started with.
func environ(pid int) []string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil || len(text) == 0 {
		return os.Environ()
	}
	return strings.Split(strings.TrimRight(string(text), "\x00"), "\x00")
}

// execCode is the exit code of a command that has run.
func execCode(err error) error {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exitCode(exit.ExitCode())
	}
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("exec beside a process needs nsenter, of util-linux: %w", err)
	}
	return err
}
