package testenv

import (
	"os"
	"strings"
	"testing"
)

// RequireVariable names the environment variable that turns skips into
// failures when its value is "all".
const RequireVariable = "UPALL_TEST_REQUIRE"

// Need goes on when ok. Otherwise it skips the test and names what is missing,
// or fails it when UPALL_TEST_REQUIRE is "all".
func Need(t testing.TB, ok bool, what string) {
	t.Helper()
	if ok {
		return
	}
	if os.Getenv(RequireVariable) == "all" {
		t.Fatalf("needs %s, and %s=all allows no skip", what, RequireVariable)
	}
	t.Skipf("needs %s", what)
}

// NeedRoot needs the effective user to be root. It is for tests that act as
// several users; a test that needs one capability should probe for that one.
func NeedRoot(t testing.TB) {
	t.Helper()
	Need(t, os.Geteuid() == 0, "root")
}

// NeedProgram returns the path of the first of names that is an executable in
// PATH or in one of the folders where distributions keep servers.
func NeedProgram(t testing.TB, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path := lookProgram(name); path != "" {
			return path
		}
	}
	Need(t, false, "the program "+strings.Join(names, " or ")+" (hack/install-deps --test installs it)")
	return ""
}
