package sockdiag

import (
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"upall/internal/testenv"
)

func TestWhoListens(t *testing.T) {
	c := dial(t)
	_, first := listen(t, bind{unix.AF_INET, "127.0.0.1", false}, 1)
	_, second := listen(t, bind{unix.AF_INET, "127.0.0.1", false}, 1)
	holders, err := c.WhoListens(first, second)
	if err != nil || len(holders) != 2 {
		t.Fatalf("WhoListens = %v, %v", holders, err)
	}
	for _, holder := range holders {
		if holder.PID != os.Getpid() || holder.UID != uint32(os.Geteuid()) || holder.Name == "" {
			t.Errorf("holder = %+v, want pid %d", holder, os.Getpid())
		}
	}
	if holders, err := c.WhoListens(); err != nil || len(holders) != 0 {
		t.Errorf("WhoListens of no port = %v, %v", holders, err)
	}
}

// portVariable tells a test that runs as an ordinary user a port of root's.
const portVariable = "UPALL_SOCKDIAG_PORT"

// TestOtherUser: an ordinary user sees queues, but not names, of root.
func TestOtherUser(t *testing.T) {
	if os.Getenv(portVariable) != "" {
		t.Skip("this is the other user")
	}
	testenv.NeedRoot(t)
	user := testenv.OrdinaryUser(t)
	_, port := listen(t, bind{unix.AF_INET, "127.0.0.1", false}, 9)
	command := user.Command(t, user.Install(t, "/proc/self/exe"), "-test.run", "^Test(InsideOtherUser|AcceptQueue|Listeners|Connecting|WhoListens)$", "-test.v")
	command.Env = append(command.Env, portVariable+"="+strconv.Itoa(int(port)))
	out, err := command.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestInsideOtherUser") {
		t.Errorf("as %s: %v\n%s", user.Name, err, out)
	}
}

// TestInsideOtherUser is the other half of TestOtherUser.
func TestInsideOtherUser(t *testing.T) {
	value := os.Getenv(portVariable)
	if value == "" {
		t.Skip("TestOtherUser runs this")
	}
	port, err := strconv.ParseUint(value, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t)
	checkQueue(t, c, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(port)), 0, 9)
	holders, err := c.WhoListens(uint16(port))
	if err != nil || len(holders) != 1 || holders[0].PID != 0 || holders[0].UID != 0 {
		t.Errorf("WhoListens = %+v, %v; want only user 0", holders, err)
	}
}
