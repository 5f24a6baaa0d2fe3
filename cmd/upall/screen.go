package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"upall/compose"
	"upall/internal/linux"
	"upall/supervisor/control"
	"upall/tui"
	"upall/tui/dashboard"
)

// screenFlags are about the dashboard.
type screenFlags struct {
	plain   bool
	isStill bool
}

func (s *screenFlags) register(f *pflag.FlagSet) {
	f.BoolVar(&s.plain, "plain", false, "print what changes as lines of text, without a dashboard")
	f.BoolVar(&s.isStill, "reduced-motion", os.Getenv("UPALL_REDUCED_MOTION") != "", "have nothing on the dashboard move by itself (also: UPALL_REDUCED_MOTION=1)")
}

// hasScreen tells whether a dashboard can be shown.
func hasScreen() bool {
	return linux.TerminalWidth(int(os.Stdin.Fd())) > 0 && linux.TerminalWidth(int(os.Stdout.Fd())) > 0 && os.Getenv("TERM") != "dumb"
}

// options are those of a dashboard for a project.
func (s *screenFlags) options(client *control.Client, files *projectFlags, project string, noColor bool) dashboard.Options {
	o := dashboard.Options{
		API: client, Project: project, Color: tui.UseColor(noColor, os.Getenv, true), ReducedMotion: s.isStill, Since: time.Now(),
		In: os.Stdin, Out: os.Stdout, Env: os.Environ(), Open: openInBrowser, Pager: pager(os.Getenv),
	}
	if !files.readsStdin() {
		o.Shell = func(service string) *exec.Cmd { return shellIn(files, project, service) }
	}
	return o
}

// shellIn is a shell in a service: upall's own exec.
func shellIn(files *projectFlags, project, service string) *exec.Cmd {
	line := append(files.args(), "--project-name", project, "exec", service, "sh")
	return exec.Command("/proc/self/exe", line...)
}

// openInBrowser opens an address in the browser of the desktop, if there is one.
func openInBrowser(url string) error {
	if os.Getenv("DISPLAY") == "" && os.Getenv("WAYLAND_DISPLAY") == "" {
		return errors.New("there is no desktop")
	}
	program, err := exec.LookPath("xdg-open")
	if err != nil {
		return err
	}
	return exec.Command(program, url).Run()
}

// pager is the program that shows long texts, nil if there is none.
func pager(env func(string) string) []string {
	line := strings.Fields(env("PAGER"))
	if len(line) == 0 {
		line = []string{"less", "-R"}
	}
	if _, err := exec.LookPath(line[0]); err != nil {
		return nil
	}
	return line
}

// printLast prints what was left on the screen: the table of `upall ps`, and what goes
// on.
func printLast(snapshot control.Snapshot, what string) {
	var rows []psRow
	for _, s := range snapshot.Instances {
		row := psRow{Status: s}
		if s.Runtime == compose.Process {
			row.published = publishedOf(snapshot, s.Instance)
		}
		rows = append(rows, row)
	}
	if len(rows) > 0 {
		fmt.Fprint(os.Stdout, psTable(rows, time.Now()).Format(linux.TerminalWidth(int(os.Stdout.Fd()))))
	}
	fmt.Fprintln(os.Stderr, "upall: "+what)
}

// goesOn is what to do with a project that was left running.
func goesOn(project string) string {
	return fmt.Sprintf("project %q goes on in the background (upall dash, upall logs -f, upall down)", project)
}

// lastState is the newest snapshot there is.
func lastState(ctx context.Context, client *control.Client, known control.Snapshot) control.Snapshot {
	if now, err := client.Snapshot(ctx); err == nil {
		return now
	}
	return known
}
