package main

import (
	"io"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestStartIsUp holds what start and restart make of a project that is not up, and
// that the flags of the project hold for it too.
func TestStartIsUp(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	t.Chdir(t.TempDir())
	if err := os.WriteFile("x.yaml", []byte("x-upall: {runtime: process}\nservices: {a: {command: [sleep]}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ args, want string }{
		{"-f x.yaml -p upall-test-start start", "-f [x.yaml] -p upall-test-start up --detach --no-build --no-recreate"},
		{"-f x.yaml -p upall-test-start start a", "-f [x.yaml] -p upall-test-start up --detach --no-build --no-recreate -- a"},
		{"start -f x.yaml -p upall-test-start a", "-f [x.yaml] -p upall-test-start up --detach --no-build --no-recreate -- a"},
		{"-f x.yaml -p upall-test-start restart -t 1 a", "-f [x.yaml] -p upall-test-start up --detach --no-build --no-recreate -- a"},
	} {
		root := newRoot(io.Discard, io.Discard)
		var got []string
		for _, c := range root.Commands() {
			if c.Name() == "up" {
				root.RemoveCommand(c)
			}
		}
		root.AddCommand(&cobra.Command{Use: "up", DisableFlagParsing: true, RunE: func(cmd *cobra.Command, args []string) error {
			files, _ := cmd.InheritedFlags().GetStringArray("file")
			name, _ := cmd.InheritedFlags().GetString("project-name")
			got = append([]string{"-f", "[" + strings.Join(files, " ") + "]", "-p", name, "up"}, args...)
			return nil
		}})
		root.SetArgs(strings.Fields(test.args))
		if err := root.ExecuteContext(t.Context()); err != nil {
			t.Errorf("%s: %v", test.args, err)
		}
		if got := strings.Join(got, " "); got != test.want {
			t.Errorf("%s: got %q, want %q", test.args, got, test.want)
		}
	}
}
