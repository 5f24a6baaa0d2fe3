package repotest

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"upall/internal/testenv"
)

// TestStaticBinary holds that what make build makes is static. It becomes the
// entrypoint of other people's images, which hold no library of ours.
func TestStaticBinary(t *testing.T) {
	if testing.Short() {
		t.Skip("links the whole program")
	}
	testenv.NeedProgram(t, "make")
	testenv.NeedProgram(t, "gcc")
	pkgConfig := testenv.NeedProgram(t, "pkg-config")
	err := exec.CommandContext(t.Context(), pkgConfig, "--exists", "libseccomp").Run()
	testenv.Need(t, err == nil, "libseccomp's headers (hack/install-deps installs them)")

	binary := filepath.Join(t.TempDir(), "upall")
	run(t, "make", "--no-print-directory", "build", "BIN="+binary)
	for _, problem := range dynamicParts(t, binary) {
		t.Errorf("make build made a dynamic binary: %s", problem)
	}
}

// TestDynamicParts looks at a program that is known to be dynamic.
func TestDynamicParts(t *testing.T) {
	if got := dynamicParts(t, testenv.NeedProgram(t, "bash")); len(got) < 2 {
		t.Errorf("found %q in bash, want its loader and its libraries", got)
	}
}

// dynamicParts returns what the binary needs of a loader at its start.
func dynamicParts(t *testing.T, path string) []string {
	t.Helper()
	binary, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := binary.Close(); err != nil {
			t.Error(err)
		}
	})
	var parts []string
	if slices.ContainsFunc(binary.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		parts = append(parts, "it names a loader")
	}
	libraries, err := binary.ImportedLibraries()
	if err != nil {
		t.Fatal(err)
	}
	for _, library := range libraries {
		parts = append(parts, "it needs "+library)
	}
	return parts
}

// TestMakeHelp holds that make help shows each target that a person may run.
func TestMakeHelp(t *testing.T) {
	testenv.NeedProgram(t, "make")
	help := run(t, "make", "--no-print-directory", "help")
	makefile, err := os.ReadFile(filepath.Join(root(t), "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	phony := regexp.MustCompile(`(?m)^\.PHONY: (.*)$`).FindSubmatch(makefile)
	if phony == nil {
		t.Fatal("the Makefile has no .PHONY line")
	}
	for target := range strings.FieldsSeq(string(phony[1])) {
		if !regexp.MustCompile(`(?m)^ *` + regexp.QuoteMeta(target) + ` `).MatchString(help) {
			t.Errorf("make help does not show %s: write ## and what it does behind the target", target)
		}
	}
}
