package process

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"upall/compose"
	"upall/internal/linux"
)

// A life is a process of this test binary in the place of a supervisor that may
// be killed at any time. The test is its keeper.
const (
	lifeVariable = "UPALL_TEST_LIFE" // a lifeSpec
	lifeKeepFD   = 3                 // to the keeper; what is kept follows
	lifePrefix   = "life: "          // of lines that are not the program's
)

type lifeSpec struct {
	Base, Script string
	Kept         []keptMessage // of the lives before
}

// keptMessage is what a life tells its keeper, beside the descriptors.
type keptMessage struct {
	Name  string
	Data  []byte
	Drop  bool
	Count int // of descriptors
}

// runLife starts the program or goes on with it, prints its output and, at its
// end, the exit code.
func runLife(text string) error {
	var spec lifeSpec
	if err := json.Unmarshal([]byte(text), &spec); err != nil {
		return err
	}
	unix.CloseOnExec(lifeKeepFD)
	keep := socketKeep(lifeKeepFD)
	state, program, err := resume(spec, keep)
	if err != nil {
		return err
	}
	fmt.Println(lifePrefix+"exit code", program.Wait())
	return errors.Join(program.Close(), state.Close())
}

func resume(spec lifeSpec, keep Keep) (*State, *Program, error) {
	next := lifeKeepFD + 1
	kept := map[string]Kept{}
	for _, m := range spec.Kept {
		k := Kept{Name: m.Name, Data: m.Data}
		for range m.Count {
			unix.CloseOnExec(next)
			k.FDs = append(k.FDs, linux.NewFD(next))
			next++
		}
		kept[m.Name] = k
	}
	state, err := lifeState(spec, kept, keep)
	if err != nil {
		return nil, nil, err
	}
	plan := lifePlan(spec.Script)
	runtime, err := Open(Config{Plan: plan, State: state, Env: os.Environ(), Keep: keep, Logger: slog.Default()})
	if err != nil {
		return nil, nil, err
	}
	output := func(_, line string) { fmt.Println(line) }
	if k, ok := kept[ProgramEntry+"web-1"]; ok {
		fmt.Println(lifePrefix + "adopting")
		program, began, err := runtime.Adopt(k, output)
		if err != nil || began {
			if err == nil && program.Identity() != (Identity{"web", "web-1", 3}) {
				err = fmt.Errorf("adopted %+v", program.Identity())
			}
			return state, program, err
		}
	}
	fmt.Println(lifePrefix + "starting")
	s := &plan.Services[0]
	program, err := runtime.Start(Launch{Service: s, Instance: s.Instances[0], Run: 3, Output: output})
	return state, program, err
}

func lifeState(spec lifeSpec, kept map[string]Kept, keep Keep) (*State, error) {
	if k, ok := kept[StateEntry]; ok {
		return AdoptState(keep, k)
	}
	state, err := OpenState(spec.Base, "p", os.Getppid())
	if err != nil {
		return nil, err
	}
	return state, state.Keep(keep)
}

func lifePlan(script string) *compose.Plan {
	return &compose.Plan{Name: "p", Services: []compose.Service{{
		Name: "web", Runtime: compose.Process, Command: []string{"sh", "-c", script}, Dir: "/",
		Instances: []compose.Instance{{Name: "web-1", Index: 1}},
	}}}
}

// socketKeep is a Keep at the other end of a socket, as the real one is.
type socketKeep int

func (k socketKeep) Put(name string, data []byte, fds ...int) error {
	return k.send(keptMessage{Name: name, Data: data, Count: len(fds)}, fds...)
}

func (k socketKeep) Drop(name string) error { return k.send(keptMessage{Name: name, Drop: true}) }

func (k socketKeep) send(m keptMessage, fds ...int) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return unix.Sendmsg(int(k), text, unix.UnixRights(fds...), nil, 0)
}

// testKeeper has what lives put.
type testKeeper struct {
	t    *testing.T
	base string
	kept []Kept
	said []string // all lines of the program, over all lives
}

// close drops all, as a keeper does that ends.
func (k *testKeeper) close() {
	for _, e := range k.kept {
		if err := e.close(); err != nil {
			k.t.Error(err)
		}
	}
	k.kept = nil
}

// live runs a life to its end. It is killed when until says so of one of its
// lines. Of those that are not the program's the last is returned: "exit code N".
func (k *testKeeper) live(script string, until func(line string) bool) (end string) {
	k.t.Helper()
	cmd, stdout, serve := k.begin(script)
	for reader := bufio.NewReader(stdout); ; {
		line, err := reader.ReadString('\n')
		if err != nil {
			if line != "" {
				k.t.Errorf("half a line: %q", line)
			}
			break
		}
		line = strings.TrimSuffix(line, "\n")
		if own, ok := strings.CutPrefix(line, lifePrefix); ok {
			end = own
		} else {
			k.said = append(k.said, line)
		}
		if until(line) {
			if err := cmd.Process.Kill(); err != nil {
				k.t.Error(err)
			}
			until = func(string) bool { return false }
		}
	}
	if err := cmd.Wait(); err != nil && err.Error() != "signal: killed" {
		k.t.Errorf("a life ended with %v", err)
	}
	serve.Wait()
	return end
}

// begin starts a life with what is kept.
func (k *testKeeper) begin(script string) (*exec.Cmd, io.Reader, *sync.WaitGroup) {
	k.t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		k.t.Fatal(err)
	}
	cmd := exec.CommandContext(k.t.Context(), "/proc/self/exe")
	cmd.ExtraFiles = []*os.File{os.NewFile(uintptr(pair[1]), "keep")}
	cmd.Stderr = os.Stderr
	spec := lifeSpec{Base: k.base, Script: script}
	for _, e := range k.kept {
		spec.Kept = append(spec.Kept, keptMessage{Name: e.Name, Data: e.Data, Count: len(e.FDs)})
		for _, fd := range e.FDs {
			dup, err := unix.FcntlInt(uintptr(fd.Int()), unix.F_DUPFD_CLOEXEC, 0)
			if err != nil {
				k.t.Fatal(err)
			}
			cmd.ExtraFiles = append(cmd.ExtraFiles, os.NewFile(uintptr(dup), e.Name))
		}
	}
	text, err := json.Marshal(spec)
	if err != nil {
		k.t.Fatal(err)
	}
	cmd.Env = append(os.Environ(), lifeVariable+"="+string(text), "GORACE=atexit_sleep_ms=1")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		k.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		k.t.Fatal(err)
	}
	for _, f := range cmd.ExtraFiles {
		if err := f.Close(); err != nil {
			k.t.Error(err)
		}
	}
	var serve sync.WaitGroup
	serve.Go(func() { k.serve(os.NewFile(uintptr(pair[0]), "keep")) })
	return cmd, stdout, &serve
}

// serve takes what a life puts, until it has ended.
func (k *testKeeper) serve(file *os.File) {
	conn, err := net.FileConn(file)
	if err := errors.Join(err, file.Close()); err != nil {
		k.t.Error(err)
		return
	}
	defer func() {
		if err := conn.Close(); err != nil {
			k.t.Error(err)
		}
	}()
	buf, oob := make([]byte, 1<<16), make([]byte, unix.CmsgSpace(8*4))
	for {
		n, noob, _, _, err := conn.(*net.UnixConn).ReadMsgUnix(buf, oob)
		if n == 0 || err != nil {
			if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
				k.t.Error(err)
			}
			return
		}
		if err := k.take(buf[:n], oob[:noob]); err != nil {
			k.t.Error(err)
			return
		}
	}
}

func (k *testKeeper) take(text, oob []byte) error {
	var m keptMessage
	if err := json.Unmarshal(text, &m); err != nil {
		return err
	}
	fresh := Kept{Name: m.Name, Data: m.Data}
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return err
	}
	for _, c := range messages {
		fds, err := unix.ParseUnixRights(&c)
		if err != nil {
			return err
		}
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			fresh.FDs = append(fresh.FDs, linux.NewFD(fd))
		}
	}
	var rest []Kept
	for _, e := range k.kept {
		if e.Name != m.Name {
			rest = append(rest, e)
			continue
		}
		if err := e.close(); err != nil {
			return err
		}
	}
	if !m.Drop {
		rest = append(rest, fresh)
	}
	k.kept = rest
	return nil
}
