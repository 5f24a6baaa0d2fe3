package engine

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	dockercli "github.com/docker/cli/cli"
)

// noEngine points to an engine that is not there.
func noEngine(t *testing.T) (out *bytes.Buffer, s Streams) {
	t.Helper()
	t.Setenv("DOCKER_HOST", "unix://"+t.TempDir()+"/none")
	t.Setenv("HOME", t.TempDir())
	out = &bytes.Buffer{}
	return out, Streams{In: io.NopCloser(strings.NewReader("")), Out: out, Err: io.Discard}
}

// TestCommandHelp holds that help speaks of upall, and needs no engine.
func TestCommandHelp(t *testing.T) {
	for _, name := range []string{"exec", "run", "logs", "ps", "cp", "build"} {
		out, s := noEngine(t)
		if err := Command(t.Context(), s, []string{name, "--help"}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := out.String(); !strings.Contains(got, "\n  upall "+name+" [OPTIONS]") || strings.Contains(strings.ToLower(got), "docker compose") {
			t.Errorf("%s: help does not speak of upall:\n%s", name, got)
		}
	}
}

func TestCommandUsage(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"exec --nosuch", "unknown flag: --nosuch"},
		{"exec db", "requires at least 2 arg(s), only received 1 (see `upall exec --help`)"},
		{"--nosuch ps", "unknown flag: --nosuch"},
	} {
		_, s := noEngine(t)
		err := Command(t.Context(), s, strings.Fields(test.args))
		if exit, ok := errors.AsType[ExitError](err); !ok || exit.Code != codeUsage || exit.Status != test.want {
			t.Errorf("%s: got %#v, want exit code %d and %q", test.args, err, codeUsage, test.want)
		}
	}
}

func TestCommandErr(t *testing.T) {
	plain := errors.New("plain")
	for _, test := range []struct{ give, want error }{
		{nil, nil},
		{plain, plain},
		{fmt.Errorf("wrapped: %w", dockercli.StatusError{StatusCode: 3}), ExitError{Code: 3}},
		{dockercli.StatusError{StatusCode: 1, Status: "why"}, ExitError{Code: 1, Status: "why"}},
		{ExitError{Code: 2, Status: "ours"}, ExitError{Code: 2, Status: "ours"}},
	} {
		if got := commandErr(nil, test.give); !errors.Is(got, test.want) {
			t.Errorf("%#v became %#v, want %#v", test.give, got, test.want)
		}
	}
}

func TestRunArguments(t *testing.T) {
	for _, test := range []struct {
		args, service string
		noDeps        bool
	}{
		{"web", "web", false},
		{"-p 80:80 -e A=1 --rm web sh --no-deps", "web", false},
		{"--no-deps web", "web", true},
		{"--help", "", false},
		{"--nosuch web", "", false},
		{"", "", false},
	} {
		_, s := noEngine(t)
		service, noDeps, err := RunArguments(s, strings.Fields(test.args))
		if err != nil || service != test.service || noDeps != test.noDeps {
			t.Errorf("%q: got %q, %t, error %v", test.args, service, noDeps, err)
		}
	}
}
