package process

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"

	"upall/intercept/shim"
	"upall/internal/lines"
)

// Program is a running instance: its program and all that descended from it,
// under a guard that ends them together.
type Program struct {
	cmd     *exec.Cmd
	control *os.File // to the guard
	pid     int
	logs    sync.WaitGroup
}

// Output is called with each line of the program's output, without its end.
type Output func(stream, line string)

// controlFD is the first of exec.Cmd.ExtraFiles.
const controlFD = 3

// start runs the shim in front of the command.
func start(opts shim.Options, command, env []string, dir string, output Output) (*Program, error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socketpair", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "guard"), os.NewFile(uintptr(fds[1]), "guard")
	opts.GuardFD = controlFD
	p := &Program{control: ours, cmd: &exec.Cmd{
		Path: "/proc/self/exe", Args: opts.Args(command), Env: env, Dir: dir, ExtraFiles: []*os.File{theirs},
	}}
	err = p.run(output)
	if err = errors.Join(err, theirs.Close()); err != nil {
		return nil, errors.Join(err, ours.Close())
	}
	var pid [4]byte
	if _, err := io.ReadFull(ours, pid[:]); err != nil {
		p.Wait()
		return nil, fmt.Errorf("the guard did not start: %w", err)
	}
	p.pid = int(binary.NativeEndian.Uint32(pid[:]))
	return p, nil
}

func (p *Program) run(output Output) error {
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := p.cmd.Start(); err != nil {
		return err
	}
	p.logs.Go(func() { lines.Read(stdout, func(l string) { output("stdout", l) }) })
	p.logs.Go(func() { lines.Read(stderr, func(l string) { output("stderr", l) }) })
	return nil
}

// PID returns the program's process ID.
func (p *Program) PID() int { return p.pid }

// Signal sends sig to the program's process group. A program that has ended is
// no error.
func (p *Program) Signal(sig syscall.Signal) error { return p.order(byte(sig)) }

// Kill kills the program and all its descendants.
func (p *Program) Kill() error { return p.order(shim.KillAll) }

func (p *Program) order(b byte) error {
	if p == nil {
		return nil
	}
	_, err := p.control.Write([]byte{b})
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}

// Wait waits until the program, its descendants and its output have ended, and
// returns its exit code: 128+N after signal N, as shells and Docker have it.
// A nil Program, one that could not be started, has exited with shim.ExitSetup.
func (p *Program) Wait() int {
	if p == nil {
		return shim.ExitSetup
	}
	p.logs.Wait()
	_ = p.cmd.Wait() // the exit code tells all
	_ = p.control.Close()
	return p.cmd.ProcessState.ExitCode()
}
