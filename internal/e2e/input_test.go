package e2e

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"upall/internal/testenv"
)

// What upall cannot run it refuses with one line that says why, and leaves
// nothing behind.
func TestE2ERefusedInput(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := taken.Close(); err != nil {
			t.Errorf("close the port: %v", err)
		}
	})
	_, port, err := net.SplitHostPort(taken.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	good := "  good: {command: [TOOLS/server]}\n"
	for _, test := range []struct {
		name string
		file string
		code int
		want []string // words of the line
	}{
		{"malformed", "services: [\n", 2, []string{"compose.yaml"}},
		{"unknown key", "x-upall: {runtime: process, hold_timeuot: 3s}\nservices:\n" + good, 2, []string{"compose.yaml", "hold_timeuot"}},
		{"unknown key of a service", "services:\n  web: {command: [sh], x-upall: {runtime: process, wait: 3s}}\n", 2, []string{"compose.yaml", "web", "wait"}},
		{"bad value", "x-upall: {runtime: process, hold_timeout: soon}\nservices:\n" + good, 2, []string{"hold_timeout", "soon"}},
		{"missing command", "x-upall: {runtime: process}\nservices:\n" + good + "  web: {command: [no-such-program]}\n", 1, []string{"web", "no-such-program"}},
		{"no command", "x-upall: {runtime: process}\nservices:\n" + good + "  web: {}\n", 2, []string{"web", "command"}},
		{"port in use", "x-upall: {runtime: process}\nservices:\n  web: {command: [TOOLS/server], ports: [\"127.0.0.1:" + port + ":7000\"]}\n", 1, []string{"web", port, "in use", "OWNER"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			users(t, func(t *testing.T, user testenv.User) {
				p := emptyProject(t, user)
				p.write("compose.yaml", p.expand(test.file))
				r := p.up()
				if code := r.end(); code != test.code {
					t.Errorf("upall ended with code %d, want %d", code, test.code)
				}
				owner := "e2e.test" // whom an ordinary user may not look at, if root runs the test
				if user.UID != os.Getuid() {
					owner = "user 0"
				}
				if problem := oneLine(r.errorText(), owner, test.want); problem != "" {
					t.Errorf("stderr: %s", problem)
				}
			})
		})
	}
}

// oneLine says what is wrong with an error message; "" is nothing. OWNER among
// the words stands for owner.
func oneLine(text, owner string, words []string) string {
	if strings.Count(text, "\n") != 1 || !strings.HasSuffix(text, "\n") {
		return fmt.Sprintf("%q, want one line", text)
	}
	for _, word := range words {
		if word = strings.ReplaceAll(word, "OWNER", owner); !strings.Contains(text, word) {
			return fmt.Sprintf("%q, want one with %q", text, word)
		}
	}
	return ""
}
