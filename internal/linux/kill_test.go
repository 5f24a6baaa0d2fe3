package linux

import (
	"errors"
	"os/exec"
	"syscall"
	"testing"
)

// startCat starts a program that ends when it is killed or its input ends.
func startCat(t *testing.T, env ...string) (cmd *exec.Cmd, end func() error) {
	t.Helper()
	cmd = exec.Command("cat")
	cmd.Env = env
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// An answer shows that it has its own environment.
	if _, err := in.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	return cmd, in.Close
}

func wasKilled(cmd *exec.Cmd) bool {
	_ = cmd.Wait() // the state tells
	return cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL
}

func TestKillIf(t *testing.T) {
	cmd, end := startCat(t)
	unsure := errors.New("unsure")
	for _, answer := range []error{nil, unsure} {
		err := KillIf(cmd.Process.Pid, func() (bool, error) { return answer != nil, answer })
		if !errors.Is(err, answer) {
			t.Errorf("got error %v, want %v", err, answer)
		}
	}
	if err := end(); err != nil {
		t.Fatal(err)
	}
	if wasKilled(cmd) {
		t.Error("killed what was not meant")
	}
	meant := func() (bool, error) { return true, nil }
	if err := KillIf(cmd.Process.Pid, meant); err != nil {
		t.Errorf("one that has ended: %v", err)
	}
	cmd, _ = startCat(t)
	if err := KillIf(cmd.Process.Pid, meant); err != nil || !wasKilled(cmd) {
		t.Errorf("not killed, error %v", err)
	}
}

func TestKillMarked(t *testing.T) {
	const mark = "UPALL_TEST_MARK=a"
	marked, _ := startCat(t, "A=b", mark, "C=d")
	other, end := startCat(t, mark+"b", "X"+mark, "Y="+mark)
	if err := KillMarked(mark); err != nil {
		t.Error(err)
	}
	if !wasKilled(marked) {
		t.Error("a process with the mark was not killed")
	}
	if err := end(); err != nil {
		t.Fatal(err)
	}
	if wasKilled(other) {
		t.Error("a process with other marks was killed")
	}
}
