package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"upall/internal/event"
	"upall/supervisor"
)

// `up -d` runs the same command line again in a session of its own, which says on
// a pipe when the project is up:
//
//	upall up -d                          upall up -d, with backgroundVariable
//	    | ------------- starts ----------------> |
//	    | <---- progress, on the terminal ------ |
//	    | <---- "up", or "failed WHY" ---------- |  then it leaves the terminal
const (
	backgroundVariable = "UPALL_BACKGROUND_PIPE"
	backgroundPipe     = 3 // the first of exec.Cmd.ExtraFiles

	saysUp     = "up"
	saysFailed = "failed "
)

func isBackground() bool { return os.Getenv(backgroundVariable) != "" }

// startInBackground starts the one in the background and waits until it says
// that the project is up.
func startInBackground(cmd *cobra.Command, project *projectFlags) error {
	ours, theirs, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { _ = ours.Close() }() // only read
	//nolint:gosec // it runs itself
	child := exec.Command("/proc/self/exe", commandLine(cmd)...)
	child.Args[0] = os.Args[0] // for ps(1)
	child.Env = append(os.Environ(), backgroundVariable+"=1")
	child.Stdin, child.Stdout, child.Stderr = os.Stdin, os.Stdout, os.Stderr
	if project.stdin != nil { // a command before has read it
		child.Stdin = bytes.NewReader(project.stdin)
	}
	child.ExtraFiles = []*os.File{theirs}
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // the terminal's signals are not for it
	err = child.Start()
	if err = errors.Join(err, theirs.Close()); err != nil {
		return err
	}
	defer forwardSignals(child.Process)()
	said, err := bufio.NewReader(ours).ReadString('\n')
	said = strings.TrimSpace(said)
	if why, failed := strings.CutPrefix(said, saysFailed); failed {
		return errors.New(why)
	}
	if err == nil && said == saysUp {
		fmt.Fprintln(cmd.ErrOrStderr(), "upall: the project is up, and stays so in the background (upall logs -f, upall down)")
		return nil
	}
	err = child.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exitCode(exit.ExitCode()) // it has said why
	}
	return err
}

// forwardSignals lets a Ctrl-C end the start that is under way.
func forwardSignals(to *os.Process) (stop func()) {
	signals, done := make(chan os.Signal, 2), make(chan struct{})
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		for {
			select {
			case s := <-signals:
				_ = to.Signal(s) // it fails when the process has ended
			case <-done:
				return
			}
		}
	}()
	return func() {
		signal.Stop(signals)
		close(done)
	}
}

// commandLine is the command line as it was parsed, from whatever called it.
func commandLine(cmd *cobra.Command) []string {
	args := []string{cmd.Name()}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Changed {
			return
		}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			for _, v := range list.GetSlice() {
				args = append(args, "--"+f.Name+"="+v)
			}
			return
		}
		args = append(args, "--"+f.Name+"="+f.Value.String())
	})
	return append(append(args, "--"), cmd.Flags().Args()...)
}

// background is the end of the pipe of the one in the background; without one it
// does nothing.
type background struct {
	*upRun
	done chan struct{}

	mu        sync.Mutex // guards what follows
	pipe      *os.File   // nil once it was said
	readiness *supervisor.Readiness
	deadline  time.Time // zero for none
	isRunning bool
}

func openBackground(u *upRun) *background {
	b := &background{upRun: u, done: make(chan struct{}), readiness: supervisor.NewReadiness(u.plan)}
	if !isBackground() {
		close(b.done)
		return b
	}
	_ = os.Unsetenv(backgroundVariable) // not for the services
	syscall.CloseOnExec(backgroundPipe)
	b.pipe = os.NewFile(backgroundPipe, "background pipe")
	if u.waitTimeout > 0 {
		b.deadline = time.Now().Add(time.Duration(u.waitTimeout) * time.Second)
	}
	go b.watch()
	return b
}

// add takes an event.
func (b *background) add(e event.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.readiness.Add(e)
}

// watch looks whether the project is up, for being ready is also a matter of time.
func (b *background) watch() {
	defer close(b.done)
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for range again.C {
		if b.look() {
			return
		}
	}
}

// look tells whether there is nothing more to say.
func (b *background) look() (done bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.pipe == nil {
		return true
	}
	if !b.isRunning && b.readiness.Running() {
		b.isRunning = true
		if b.wait {
			b.findChecks()
		}
	}
	switch {
	case !b.wait:
		if b.isRunning {
			b.say(saysUp)
		}
		return b.isRunning
	case !b.isRunning && b.deadline.IsZero():
		return false
	}
	now := time.Now()
	ready, failed, waiting := b.readiness.Ready(now)
	switch {
	case failed != "":
		b.say(saysFailed + failed)
	case ready:
		b.say(saysUp)
	case !b.deadline.IsZero() && now.After(b.deadline):
		b.say(fmt.Sprintf("%snot ready after %d s: %s", saysFailed, b.waitTimeout, strings.Join(waiting, "; ")))
	default:
		return false
	}
	return true
}

// findChecks asks which containers have a healthcheck.
func (b *background) findChecks() {
	if b.containers == nil {
		return
	}
	checked, err := b.containers.Checked(b.cmd.Context(), b.plan.Name)
	if err != nil {
		fmt.Fprintf(b.cmd.ErrOrStderr(), "upall: warning: healthchecks are not waited for: %v\n", err)
	}
	for _, name := range checked {
		b.readiness.HasCheck(name)
	}
}

// say ends the wait of who started us. What is printed from now on goes to a
// file, for the terminal is somebody else's.
func (b *background) say(what string) {
	log, err := os.OpenFile(filepath.Join(b.state.Dir(), "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		log, err = os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	}
	null, nullErr := os.Open(os.DevNull)
	if err == nil && nullErr == nil {
		_ = syscall.Dup3(int(null.Fd()), 0, 0)
		_ = syscall.Dup3(int(log.Fd()), 1, 0)
		_ = syscall.Dup3(int(log.Fd()), 2, 0)
		_, _ = log.Close(), null.Close()
	}
	_, _ = io.WriteString(b.pipe, strings.ReplaceAll(what, "\n", " ")+"\n") // who listens may be gone
	_ = b.pipe.Close()
	b.pipe = nil
}

// close ends the watching; the run is over.
func (b *background) close() {
	b.mu.Lock()
	if b.pipe != nil {
		_ = b.pipe.Close()
		b.pipe = nil
	}
	b.mu.Unlock()
	<-b.done
}
