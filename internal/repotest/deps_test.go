package repotest

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"upall/internal/testenv"
)

// TestInstallDepsSaysWhatIsMissing runs hack/install-deps where nothing that
// it looks for is in reach, apt neither: it must name all and install nothing.
func TestInstallDepsSaysWhatIsMissing(t *testing.T) {
	path := t.TempDir()
	for _, name := range []string{"bash", "dirname", "awk", "sort"} {
		if err := os.Symlink(testenv.NeedProgram(t, name), filepath.Join(path, name)); err != nil {
			t.Fatal(err)
		}
	}
	command := exec.CommandContext(t.Context(), filepath.Join(path, "bash"), "hack/install-deps", "--test")
	command.Dir = root(t)
	command.Env = []string{"PATH=" + path}
	out, err := command.CombinedOutput()

	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 {
		t.Errorf("ended with %v, want exit status 1", err)
	}
	for _, want := range []string{"go is missing: install Go 1.", "gcc", "libseccomp-dev", "nodejs", "redis-tools", "tmux"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the output does not name %q", want)
		}
	}
	if lines := strings.Count(string(out), "\n"); lines != 2 || strings.Contains(string(out), "installing") {
		t.Errorf("want one line for go and one for the packages")
	}
	if t.Failed() {
		t.Logf("output:\n%s", out)
	}
}
