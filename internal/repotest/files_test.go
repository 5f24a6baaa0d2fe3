package repotest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"upall/internal/testenv"
)

// tracked returns the files that git knows, as paths from the top folder. An
// unpacked archive has no such list.
func tracked(t *testing.T) []string {
	t.Helper()
	_, err := os.Stat(filepath.Join(root(t), ".git"))
	testenv.Need(t, err == nil, "a git clone")
	// The clone may belong to another user than the one who tests.
	list := run(t, "git", "-c", "safe.directory=*", "ls-files", "-z")
	return strings.Split(strings.TrimSuffix(list, "\x00"), "\x00")
}

// machinePath matches folders that exist on a developer's machine only. The
// classes of one character keep the patterns from matching themselves.
var machinePath = regexp.MustCompile(`(^|[^A-Za-z0-9_.}\-/])/([w]ork|[f]arm|[r]oot|[h]ome/[a-z][^/\s]*|[U]sers/[A-Za-z][^/\s]*)/`)

// TestNoMachinePaths holds that what is committed works on any machine.
func TestNoMachinePaths(t *testing.T) {
	clone := root(t)
	for _, name := range tracked(t) {
		content, err := os.ReadFile(filepath.Join(clone, name))
		if errors.Is(err, os.ErrNotExist) {
			continue // removed and not yet committed
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, problem := range pathProblems(content, clone) {
			t.Errorf("%s:%s; write it relative to the repository, or take it from the environment", name, problem)
		}
	}
}

// pathProblems returns the lines of a text that name a folder of a machine or
// the folder of this clone.
func pathProblems(content []byte, clone string) []string {
	if bytes.IndexByte(content, 0) >= 0 {
		return nil // not a text
	}
	inner := strings.Trim(clone, "/")
	var problems []string
	for i, line := range strings.Split(string(content), "\n") {
		// A clone in /src, say, is too common a name to look for.
		if machinePath.MatchString(line) || strings.Contains(inner, "/") && strings.Contains(line, "/"+inner+"/") {
			problems = append(problems, fmt.Sprintf("%d: names a path of one machine: %s", i+1, strings.TrimSpace(line)))
		}
	}
	return problems
}

func TestPathProblems(t *testing.T) {
	for _, test := range []struct {
		line string
		bad  bool
	}{
		{"cd /" + "work/main", true},
		{`"/` + `home/jane/src/x"`, true},
		{"/" + "root/.cache", true},
		{"/" + "Users/Jane/x", true},
		{"/opt/checkouts/upall/go.mod", true},
		{"/opt/checkouts/upallx/go.mod", false},
		{"examples/work/compose.yaml", false},
		{"https://example.org/home/page/", false},
		{"${DIR}/root/x", false},
		{"$HOME/work", false},
		{"net work / farm", false},
		{"binary \x00 /" + "work/main", false},
	} {
		got := pathProblems([]byte(test.line), "/opt/checkouts/upall")
		if (len(got) > 0) != test.bad {
			t.Errorf("%q: problems %q, want any: %v", test.line, got, test.bad)
		}
	}
}

// TestExamples holds that each example can be run and says what it shows, and
// that there is the one that make demo runs.
func TestExamples(t *testing.T) {
	folder := filepath.Join(root(t), "examples")
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var examples []string
	for _, entry := range entries {
		if !entry.IsDir() {
			continue
		}
		examples = append(examples, entry.Name())
		for _, file := range []string{"compose.yaml", "README.md"} {
			if _, err := os.Stat(filepath.Join(folder, entry.Name(), file)); err != nil {
				t.Errorf("examples/%s has no %s: %v", entry.Name(), file, err)
			}
		}
	}
	if !slices.Contains(examples, "quickstart") {
		t.Errorf("examples holds %q, and make demo needs quickstart", examples)
	}
}

// TestScripts holds that each shell script parses, stops at the first error
// and can be run.
func TestScripts(t *testing.T) {
	shell := testenv.NeedProgram(t, "bash")
	for _, name := range tracked(t) {
		path := filepath.Join(root(t), name)
		content, err := os.ReadFile(path)
		if err != nil || !bytes.HasPrefix(content, []byte("#!/usr/bin/env bash\n")) {
			continue // not there any more, or not a script
		}
		if !bytes.Contains(content, []byte("\nset -euo pipefail\n")) {
			t.Errorf("%s does not say set -euo pipefail", name)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o111 == 0 {
			t.Errorf("%s is not executable (%v): chmod +x", name, err)
		}
		if out, err := exec.CommandContext(t.Context(), shell, "-n", path).CombinedOutput(); err != nil {
			t.Errorf("%s does not parse: %v\n%s", name, err, out)
		}
	}
}
