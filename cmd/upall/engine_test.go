package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"upall/internal/testenv"
	"upall/supervisor/engine"
)

// TestEngineScript runs the scripts that need an engine, each in a project of
// its own that $PROJECT names.
func TestEngineScript(t *testing.T) {
	host := testenv.NeedEngine(t).Host
	testscript.Run(t, testscript.Params{
		Dir: "testdata/engine",
		Setup: func(env *testscript.Env) error {
			project := fmt.Sprintf("upall-test-%d-%s", os.Getpid(), filepath.Base(env.WorkDir))
			env.Setenv("XDG_RUNTIME_DIR", env.WorkDir)
			env.Setenv("DOCKER_HOST", host)
			env.Setenv("PROJECT", project)
			env.Defer(func() {
				end(project, env.Getenv)
				remove(t, project)
				forget(t, project)
			})
			return nil
		},
		Cmds:                scriptCommands(),
		RequireExplicitExec: true,
	})
}

// remove takes down what a failed script has left.
func remove(t *testing.T, project string) {
	streams := engine.Streams{In: os.Stdin, Out: io.Discard, Err: io.Discard}
	if err := engine.Command(context.Background(), streams, []string{"-p", project, "down", "-v", "-t", "0", "--remove-orphans"}); err != nil {
		t.Errorf("remove project %s: %v", project, err)
	}
}
