package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"upall/supervisor"
	"upall/supervisor/control"
	"upall/supervisor/engine"
	"upall/supervisor/process"
	"upall/supervisor/record"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"upall": func() { os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr)) },
		// Compose itself, to make containers without upall.
		"compose": func() {
			streams := engine.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}
			os.Exit(codeOf(engine.Command(context.Background(), streams, os.Args[1:]), os.Stderr))
		},
		"coded": func() { os.Exit(coded(os.Args[1], os.Args[2:])) },
	})
}

func TestScript(t *testing.T) {
	t.Cleanup(func() { forget(t, "cli-*", "script-*") })
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("XDG_RUNTIME_DIR", env.WorkDir)
			env.Setenv("DOCKER_HOST", "unix://"+env.WorkDir+"/no-engine")
			script := strings.TrimPrefix(filepath.Base(env.WorkDir), "script-")
			env.Defer(func() { end("cli-"+script, env.Getenv) })
			return nil
		},
		Cmds:                scriptCommands(),
		RequireExplicitExec: true,
		UpdateScripts:       os.Getenv("UPALL_UPDATE") != "",
	})
}

// forget removes the records of projects whose names match the patterns.
func forget(t *testing.T, patterns ...string) {
	t.Helper()
	for _, pattern := range patterns {
		left, err := filepath.Glob(record.Dir(process.BaseDir(os.Getenv), pattern))
		if err != nil {
			t.Error(err)
		}
		for _, dir := range left {
			if err := os.RemoveAll(dir); err != nil {
				t.Error(err)
			}
		}
	}
}

// coded runs a program and writes its exit code to a file: coded FILE PROGRAM
// ARGUMENT... An interrupt, which ends what a failed script has in the background,
// is passed on, as a shell would not: else the script would wait for ever.
func coded(file string, args []string) int {
	ctx, unwatch := signal.NotifyContext(context.Background(), os.Interrupt)
	defer unwatch()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	_ = cmd.Wait() // the code says it
	if err := os.WriteFile(file, fmt.Appendln(nil, cmd.ProcessState.ExitCode()), 0o600); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// end ends what a failed script has left.
func end(project string, getenv func(string) string) {
	client, err := control.Dial(context.Background(), supervisor.ControlSocket(process.BaseDir(getenv), project))
	if err != nil {
		return // as it is to be
	}
	_, _ = client.Act(context.Background(), control.Action{Verb: control.End, Timeout: new(time.Duration)})
}

// exits runs a program and wants its exit code: exits CODE PROGRAM ARGUMENT...
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARGUMENT...")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		code = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("run %s: %v", args[1], err)
	}
	if want, err := strconv.Atoi(args[0]); err != nil || code != want {
		ts.Fatalf("%s exited with code %d, want %s", args[1], code, args[0])
	}
}

func scriptCommands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "shows": shows, "crash": crash}
}

// patience is how long a script waits for a fact.
const patience = 30 * time.Second

// shows waits until a file has a text in it: shows FILE TEXT.
func shows(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: shows FILE TEXT")
	}
	eventually(ts, fmt.Sprintf("%s does not show %q", args[0], args[1]), func() bool {
		text, err := os.ReadFile(ts.MkAbs(args[0]))
		return err == nil && strings.Contains(string(text), args[1])
	})
}

func eventually(ts *testscript.TestScript, unless string, is func() bool) {
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for begun := time.Now(); !is(); <-again.C {
		if time.Since(begun) > patience {
			ts.Fatalf("%s", unless)
		}
	}
}

// crash kills a project's supervisor, and waits for the next: crash PROJECT.
func crash(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: crash PROJECT")
	}
	getenv := func(key string) string { return ts.Getenv(key) }
	client, err := control.Dial(context.Background(), supervisor.ControlSocket(process.BaseDir(getenv), args[0]))
	ts.Check(err)
	before, err := client.Snapshot(context.Background())
	ts.Check(err)
	ts.Check(syscall.Kill(before.SupervisorPID, syscall.SIGKILL))
	eventually(ts, "the supervisor does not come back", func() bool {
		now, err := client.Snapshot(context.Background())
		return err == nil && now.Life > before.Life
	})
}
