package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"upall/supervisor/engine"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"upall": func() { os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr)) },
		// Compose itself, to make containers without upall.
		"compose": func() {
			streams := engine.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}
			os.Exit(codeOf(engine.Command(context.Background(), streams, os.Args[1:]), os.Stderr))
		},
	})
}

func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("XDG_RUNTIME_DIR", env.WorkDir)
			env.Setenv("DOCKER_HOST", "unix://"+env.WorkDir+"/no-engine")
			return nil
		},
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
		RequireExplicitExec: true,
		UpdateScripts:       os.Getenv("UPALL_UPDATE") != "",
	})
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
