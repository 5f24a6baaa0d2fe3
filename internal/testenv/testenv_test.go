package testenv

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestMain(m *testing.M) { os.Exit(Run(m)) }

// recorder is a testing.TB that notes how a test would have ended.
type recorder struct {
	testing.TB
	ended string
}

func (r *recorder) Helper() {}

func (r *recorder) Skipf(format string, args ...any) { r.end("skip: ", format, args) }

func (r *recorder) Fatalf(format string, args ...any) { r.end("fatal: ", format, args) }

func (r *recorder) end(how, format string, args []any) {
	r.ended = how + fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// record runs fn as a test would and returns how it ended; "" is success.
func record(t *testing.T, fn func(testing.TB)) string {
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		fn(r)
	}()
	<-done
	return r.ended
}

func TestNeed(t *testing.T) {
	for _, test := range []struct {
		name    string
		require string
		ok      bool
		want    string
	}{
		{"there", "", true, ""},
		{"there and required", "all", true, ""},
		{"missing", "", false, "skip: needs a thing"},
		{"missing and required", "all", false, "fatal: needs a thing, and UPALL_TEST_REQUIRE=all allows no skip"},
		{"missing and another value", "some", false, "skip: needs a thing"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv(RequireVariable, test.require)
			got := record(t, func(tb testing.TB) { Need(tb, test.ok, "a thing") })
			if got != test.want {
				t.Errorf("ended with %q, want %q", got, test.want)
			}
		})
	}
}

func TestNeedProgram(t *testing.T) {
	if path := NeedProgram(t, "no-such-program", "sh"); !strings.HasSuffix(path, "/sh") {
		t.Errorf("found %q for the second name, want a path to sh", path)
	}
	t.Setenv(RequireVariable, "")
	got := record(t, func(tb testing.TB) { NeedProgram(tb, "no-such-program", "nor-this") })
	if !strings.HasPrefix(got, "skip: needs the program no-such-program or nor-this") {
		t.Errorf("ended with %q, want a skip that names both programs", got)
	}
}

func TestEventually(t *testing.T) {
	t.Run("sees a fact that comes later", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			begin := time.Now()
			Eventually(t, time.Second, func() error {
				if passed := time.Since(begin); passed < 100*time.Millisecond {
					return fmt.Errorf("only %v passed", passed)
				}
				return nil
			})
			if passed := time.Since(begin); passed > 100*time.Millisecond+pollInterval {
				t.Errorf("saw the fact after %v, want one interval at most", passed)
			}
		})
	})
	t.Run("says what is missing at the end", func(t *testing.T) {
		got := record(t, func(tb testing.TB) {
			Eventually(tb, 10*time.Millisecond, func() error { return errors.New("the sky is grey") })
		})
		if want := "fatal: not within 10ms: the sky is grey"; got != want {
			t.Errorf("ended with %q, want %q", got, want)
		}
	})
}

func TestLeaks(t *testing.T) {
	before, err := takeSnapshot()
	if err != nil {
		t.Fatal(err)
	}
	if err := before.settle(time.Second); err != nil {
		t.Errorf("nothing happened, yet %v", err)
	}

	file, err := os.Open("/dev/zero")
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	go func() { <-stop }()

	err = before.settle(10 * time.Millisecond)
	if err == nil {
		t.Fatal("an open file and a blocked goroutine were not found")
	}
	for _, want := range []string{"/dev/zero", "leaked goroutine ", "TestLeaks.func1"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the report does not hold %q:\n%v", want, err)
		}
	}

	close(stop)
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	if err := before.settle(settleLimit); err != nil {
		t.Errorf("all is closed, yet %v", err)
	}
}

// TestRunReportsALeak runs this package's tests once more, as a child that
// leaks, and looks at its end.
func TestRunReportsALeak(t *testing.T) {
	if os.Getenv("TESTENV_LEAK") != "" {
		go func() { select {} }()
		return
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), program, "-test.run=^TestRunReportsALeak$")
	child.Env = append(os.Environ(), "TESTENV_LEAK=1")
	out, err := child.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 {
		t.Errorf("the child ended with %v, want exit status 1", err)
	}
	if !bytes.Contains(out, []byte("leaked goroutine ")) {
		t.Errorf("the child did not name the leak:\n%s", out)
	}
}

func TestOrdinaryUser(t *testing.T) {
	u := OrdinaryUser(t)
	if u.UID == 0 {
		t.Fatal("the ordinary user is root")
	}
	out, err := u.Command(t, "sh", "-c", "id -u; id -G; pwd; touch mine && rm mine").CombinedOutput()
	if err != nil {
		t.Fatalf("run a command as %s: %v: %s", u.Name, err, out)
	}
	lines := strings.Split(string(out), "\n")
	if want := fmt.Sprint(u.UID); lines[0] != want {
		t.Errorf("the command ran as uid %s, want %s", lines[0], want)
	}
	if lines[2] != u.Home {
		t.Errorf("the command ran in %s, want %s", lines[2], u.Home)
	}

	program := u.Install(t, NeedProgram(t, "true"))
	if out, err := u.Command(t, program).CombinedOutput(); err != nil {
		t.Errorf("run an installed program: %v: %s", err, out)
	}
}

// A user in a group has that one besides its own, in the account too.
func TestUserIn(t *testing.T) {
	NeedRoot(t)
	u := UserIn(t, "users")
	for name, command := range map[string]*exec.Cmd{
		"process": u.Command(t, "id", "-G"),
		"account": u.Command(t, "id", "-G", u.Name),
	} {
		out, err := command.Output()
		if err != nil {
			t.Fatal(err)
		}
		if got, want := strings.TrimSpace(string(out)), fmt.Sprint(u.GID, " ", u.Groups[0]); got != want {
			t.Errorf("the %s's groups are %q, want %q", name, got, want)
		}
	}
}

func TestOrdinaryUserIsRemoved(t *testing.T) {
	NeedRoot(t)
	var first, second User
	t.Run("two at once", func(t *testing.T) {
		first, second = OrdinaryUser(t), OrdinaryUser(t)
		if first.UID == second.UID {
			t.Errorf("two claims at once returned uid %d twice", first.UID)
		}
	})
	for _, u := range []User{first, second} {
		if _, err := os.Stat(u.Home); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the home of %s is still there (%v)", u.Name, err)
		}
		accounts, err := os.ReadFile("/etc/passwd")
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(accounts, []byte("\n"+u.Name+":")) {
			t.Errorf("%s is still in /etc/passwd", u.Name)
		}
	}
}

func TestOrdinaryUserHasNoPrivilege(t *testing.T) {
	u := OrdinaryUser(t)
	out, err := u.Command(t, "sed", "-n", "s/^CapEff:[[:space:]]*//p", "/proc/self/status").Output()
	if err != nil {
		t.Fatal(err)
	}
	if caps := strings.TrimSpace(string(out)); strings.Trim(caps, "0") != "" {
		t.Errorf("the user has the capabilities %s", caps)
	}
	if os.Geteuid() == 0 {
		secret := filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(secret, []byte("s"), 0o600); err != nil {
			t.Fatal(err)
		}
		if u.Command(t, "cat", secret).Run() == nil {
			t.Error("the user reads a file of root")
		}
	}
}

// TestNeedUserNS and TestNeedNFQueue hold that a probe ends with one of its
// two answers; which one is the machine's affair.
func TestNeedUserNS(t *testing.T) {
	t.Setenv(RequireVariable, "")
	for _, u := range []User{CurrentUser(t), OrdinaryUser(t)} {
		got := record(t, func(tb testing.TB) { NeedUserNS(tb, u) })
		t.Logf("%s: %q", u.Name, got)
		if got != "" && !strings.HasPrefix(got, "skip: needs user namespaces for "+u.Name) {
			t.Errorf("ended with %q", got)
		}
	}
	nobody := User{Name: "nobody", UID: os.Geteuid(), Home: "/nonexistent"}
	if got := record(t, func(tb testing.TB) { NeedUserNS(tb, nobody) }); got == "" {
		t.Error("the probe passes for a command that cannot start")
	}
}

func TestNeedNFQueue(t *testing.T) {
	t.Setenv(RequireVariable, "")
	own, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	got := record(t, NeedNFQueue)
	t.Logf("%q", got)
	if got != "" && !strings.HasPrefix(got, "skip: needs NFQUEUE in a network namespace of its own (") {
		t.Errorf("ended with %q", got)
	}
	if now, err := os.Readlink("/proc/thread-self/ns/net"); err != nil || now != own {
		t.Errorf("the test is in %s (%v) after the probe, was in %s", now, err, own)
	}
}
