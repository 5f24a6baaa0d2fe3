package forward

import (
	"errors"
	"os"
	"strings"
	"testing"

	"upall/compose"
	"upall/internal/testenv"
)

// asUser marks the run of the test binary as an ordinary user.
const asUser = "UPALL_TEST_FORWARD_AS_USER"

// TestPrivilegedPortAsUser runs itself as an ordinary user, who may not bind
// port 1 unless the machine says so.
func TestPrivilegedPortAsUser(t *testing.T) {
	if os.Getenv(asUser) != "" {
		f, err := Open(t.Context(), Config{Service: "web", Publish: compose.Publish{HostIP: "127.0.0.1", HostPort: 1}})
		if err == nil {
			_ = f.Close()
		}
		if !errors.Is(err, ErrPrivilegedPort) {
			t.Errorf("error %v, want ErrPrivilegedPort", err)
		}
		return
	}
	start, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start")
	testenv.Need(t, err == nil && strings.TrimSpace(string(start)) != "0", "ports that need privilege")
	user := testenv.OrdinaryUser(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := user.Command(t, user.Install(t, self), "-test.run=^TestPrivilegedPortAsUser$", "-test.v")
	cmd.Env = append(cmd.Env, asUser+"=1")
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "PASS") {
		t.Errorf("as %s: %v\n%s", user.Name, err, out)
	}
}
