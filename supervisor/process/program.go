package process

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"upall/intercept/shim"
	"upall/internal/linux"
)

// Program is a running instance: its program and all that descended from it,
// under a guard that ends them together. It may have been started by an earlier
// life of the supervisor.
type Program struct {
	id             Identity
	shelf          *shelf    // nil: the program ends with this process
	cmd            *exec.Cmd // the guard; nil: it is another process's child
	control        *control
	stdout, stderr *os.File
	journals       *journals
	pid            int
	logs           sync.WaitGroup
}

// Output is called with each line of the program's output, without its end. When
// it returns the line counts as told: a later supervisor does not tell it again.
// Two goroutines call it, one for each stream ("stdout", "stderr").
type Output func(stream, line string)

// controlFD is the first of exec.Cmd.ExtraFiles.
const controlFD = 3

// The descriptors that are kept of a program, in their order.
const (
	keptControl = iota // our end of the socket to the guard
	keptStdout         // the read ends of its output, so that it can always write
	keptStderr
	keptJournals
	keptCount
)

// launch is what a program is started with.
type launch struct {
	shim         shim.Options
	command, env []string
	dir          string
	output       Output

	// A program that is to survive this process has a shelf, and an identity.
	id    Identity
	shelf *shelf
}

// start runs the shim in front of the command. The program ends with this process.
func start(opts shim.Options, command, env []string, dir string, output Output) (*Program, error) {
	return launch{shim: opts, command: command, env: env, dir: dir, output: output}.start()
}

// start puts the program into the keeper before there is one: a crash leaves a
// program that can be adopted, or an entry of one that never began.
func (l launch) start() (*Program, error) {
	ours, theirs, err := openEnds()
	if err != nil {
		return nil, err
	}
	l.shim.GuardFD = controlFD
	p := &Program{id: l.id, shelf: l.shelf, cmd: &exec.Cmd{
		Path: "/proc/self/exe", Args: l.shim.Args(l.command), Env: l.env, Dir: l.dir,
		ExtraFiles: theirs[:1], Stdout: theirs[1], Stderr: theirs[2],
	}}
	p.shelf.put(p, ours)
	err = p.cmd.Start()
	for _, f := range theirs {
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return nil, errors.Join(err, Kept{FDs: ours}.close(), p.Close())
	}
	if err := p.attach(ours); err != nil {
		err = errors.Join(err, p.Close()) // nobody has the other end now, so the guard ends
		_ = p.cmd.Wait()
		return nil, err
	}
	if !p.begin(l.output) {
		_ = p.cmd.Wait()
		return nil, errors.Join(fmt.Errorf("the guard did not start: %s", p.cmd.ProcessState), p.release(), p.Close())
	}
	return p, nil
}

// openEnds opens what a program talks through: our ends as they are kept, and the
// guard's socket, stdout and stderr.
func openEnds() (ours []*linux.FD, theirs []*os.File, err error) {
	defer func() {
		if err == nil {
			return
		}
		err = errors.Join(err, Kept{FDs: ours}.close())
		for _, f := range theirs {
			err = errors.Join(err, f.Close())
		}
	}()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	ours, theirs = append(ours, linux.NewFD(pair[0])), append(theirs, os.NewFile(uintptr(pair[1]), "guard"))
	for _, name := range []string{"stdout", "stderr"} {
		var pipe [2]int
		if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
			return ours, theirs, os.NewSyscallError("pipe2", err)
		}
		ours, theirs = append(ours, linux.NewFD(pipe[0])), append(theirs, os.NewFile(uintptr(pipe[1]), name))
	}
	journals, err := newJournals()
	if err != nil {
		return ours, theirs, err
	}
	return append(ours, journals), theirs, nil
}

// attach takes over our ends.
func (p *Program) attach(ours []*linux.FD) (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, Kept{FDs: ours}.close(), p.release())
		}
	}()
	if p.journals, err = mapJournals(ours[keptJournals]); err != nil {
		return err
	}
	if err = ours[keptJournals].Close(); err != nil {
		return err
	}
	if p.control, err = newControl(ours[keptControl]); err != nil {
		return err
	}
	if p.stdout, err = pollable(ours[keptStdout], "stdout"); err != nil {
		return err
	}
	p.stderr, err = pollable(ours[keptStderr], "stderr")
	return err
}

// begin waits until the program has begun and reads its output from then on. It
// returns false if there will be no program.
func (p *Program) begin(output Output) (began bool) {
	if p.pid, began = p.control.pid(); began {
		p.logs.Go(func() { p.journals.stdout.read(p.stdout, func(l string) { output("stdout", l) }) })
		p.logs.Go(func() { p.journals.stderr.read(p.stderr, func(l string) { output("stderr", l) }) })
	}
	return began
}

// release closes our ends.
func (p *Program) release() error {
	var errs []error
	if p.control != nil {
		errs = append(errs, p.control.Close())
	}
	for _, f := range []*os.File{p.stdout, p.stderr} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	if p.journals != nil {
		errs = append(errs, p.journals.close())
	}
	return errors.Join(errs...)
}

// PID returns the program's process ID.
func (p *Program) PID() int { return p.pid }

// Identity tells which program it is.
func (p *Program) Identity() Identity { return p.id }

// Signal sends sig to the program's process group. A program that has ended is
// no error.
func (p *Program) Signal(sig syscall.Signal) error { return p.order(byte(sig)) }

// Kill kills the program and all its descendants.
func (p *Program) Kill() error { return p.order(shim.KillAll) }

func (p *Program) order(b byte) error {
	if p == nil {
		return nil
	}
	return p.control.order(b)
}

// Wait waits until the program, its descendants and its output have ended, and
// returns its exit code: 128+N after signal N, as shells and Docker have it, and
// that of SIGKILL if its guard was killed. A nil Program, one that could not be
// started, has exited with shim.ExitSetup. The keeper has the program until Close.
func (p *Program) Wait() int {
	if p == nil {
		return shim.ExitSetup
	}
	p.logs.Wait()
	code, ok := p.control.code()
	if !ok {
		code = 128 + int(syscall.SIGKILL)
	}
	if p.cmd != nil {
		_ = p.cmd.Wait() // the exit code tells all
	}
	_ = p.release() // nothing was written to them that could be lost
	return code
}

// Close takes a program that has ended out of the keeper. It is for when its end
// is recorded: until then a later supervisor that adopts it gets the exit code.
func (p *Program) Close() error {
	if p == nil {
		return nil
	}
	return p.shelf.drop(p)
}
