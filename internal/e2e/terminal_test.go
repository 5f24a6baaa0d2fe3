package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"upall/internal/testenv"
)

// terminal is a shell of root in a terminal of its own, which tmux plays. The test
// types and looks as a person does.
type terminal struct {
	t      *testing.T
	p      *project
	socket string
}

// openTerminal starts a tmux server that no other has to do with. It ends with the
// test.
func (p *project) openTerminal(cells, height int) *terminal {
	p.t.Helper()
	testenv.NeedProgram(p.t, "tmux")
	x := &terminal{t: p.t, p: p, socket: filepath.Join(p.folder, "tmux")}
	shell := p.command() // for its environment
	start := exec.CommandContext(p.t.Context(), "tmux", "-S", x.socket, "-f", "/dev/null", "new-session", "-d", "-x", strconv.Itoa(cells), "-y", strconv.Itoa(height), "sh")
	start.Dir = p.folder
	start.Env = append(shell.Env, "UPALL="+shell.Path+" -p "+p.name, "TERM=xterm-256color", "LC_ALL=C.UTF-8", "PAGER=cat")
	if out, err := start.CombinedOutput(); err != nil {
		p.t.Fatalf("start tmux: %v\n%s", err, out)
	}
	p.t.Cleanup(func() {
		if p.t.Failed() {
			p.t.Logf("the terminal at the end:\n%s", x.screen())
		}
		if out, err := afterTest(x.tmux("kill-server")).CombinedOutput(); err != nil {
			p.t.Errorf("end tmux: %v\n%s", err, out)
		}
	})
	return x
}

func (x *terminal) tmux(args ...string) *exec.Cmd {
	return exec.Command("tmux", append([]string{"-S", x.socket}, args...)...)
}

// screen is what is to be seen.
func (x *terminal) screen() string {
	out, err := x.tmux("capture-pane", "-p").CombinedOutput()
	if err != nil {
		return fmt.Sprintf("no screen: %v\n%s", err, out)
	}
	return string(out)
}

// keys presses keys, by their names in tmux.
func (x *terminal) keys(names ...string) {
	x.t.Helper()
	if out, err := x.tmux(append([]string{"send-keys"}, names...)...).CombinedOutput(); err != nil {
		x.t.Fatalf("press %q: %v\n%s", names, err, out)
	}
}

// types types a text.
func (x *terminal) types(text string) {
	x.t.Helper()
	x.keys("-l", text)
}

// runs types a command.
func (x *terminal) runs(line string) {
	x.t.Helper()
	x.types(line)
	x.keys("Enter")
}

// sees waits until all of these texts are on the screen.
func (x *terminal) sees(texts ...string) {
	x.t.Helper()
	testenv.Eventually(x.t, patience, func() error {
		screen := x.screen()
		for _, text := range texts {
			if !strings.Contains(screen, text) {
				return fmt.Errorf("%q is not on the screen:\n%s", text, screen)
			}
		}
		return nil
	})
}

// misses waits until none of these texts is.
func (x *terminal) misses(texts ...string) {
	x.t.Helper()
	testenv.Eventually(x.t, patience, func() error {
		screen := x.screen()
		for _, text := range texts {
			if strings.Contains(screen, text) {
				return fmt.Errorf("%q is on the screen:\n%s", text, screen)
			}
		}
		return nil
	})
}

// settings keeps those of the terminal in a file, and returns them.
func (x *terminal) settings(name string) string {
	x.t.Helper()
	x.runs("stty -g >" + name + "; echo kept $?")
	x.sees("kept 0")
	x.runs("clear")
	x.misses("kept 0")
	text, err := os.ReadFile(filepath.Join(x.p.folder, name))
	if err != nil {
		x.t.Fatal(err)
	}
	return string(text)
}

// isRestored holds that a program has left the terminal as it was.
func (x *terminal) isRestored(before string) {
	x.t.Helper()
	out, err := x.tmux("display-message", "-p", "#{alternate_on} #{cursor_flag} #{mouse_any_flag}").Output()
	if got := strings.TrimSpace(string(out)); err != nil || got != "0 1 0" {
		x.t.Errorf("alternate screen, cursor and mouse are %q (%v), want \"0 1 0\"", got, err)
	}
	if after := x.settings("after"); after != before {
		x.t.Errorf("the terminal was %q and is %q", before, after)
	}
}

// child is the process that the shell waits for.
func (x *terminal) child() (pid int) {
	x.t.Helper()
	out, err := x.tmux("display-message", "-p", "#{pane_pid}").Output()
	if err != nil {
		x.t.Fatal(err)
	}
	shell := strings.TrimSpace(string(out))
	testenv.Eventually(x.t, 10*time.Second, func() error {
		text, err := os.ReadFile("/proc/" + shell + "/task/" + shell + "/children")
		if err == nil {
			pid, err = strconv.Atoi(strings.TrimSpace(string(text)))
		}
		return err
	})
	return pid
}
