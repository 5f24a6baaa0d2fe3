package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"upall/intercept"
	"upall/internal/linux"
	"upall/supervisor/engine"
	"upall/supervisor/process"
)

// finding is what doctor says of one thing.
type finding struct {
	what, use string
	err       error  // why not, nil where it works
	advice    string // what to do about it
}

func newDoctor(project *projectFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Say what this machine can do, and what to do where it cannot",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkAgentMode(project.agent); err != nil {
				return err
			}
			return report(cmd.OutOrStdout(), examine(cmd.Context(), streams(cmd), project.agent))
		},
	}
}

func report(out io.Writer, findings []finding) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, f := range findings {
		if f.err == nil {
			fmt.Fprintf(w, "yes\t%s\t%s\n", f.what, f.use)
			continue
		}
		fmt.Fprintf(w, "no\t%s\t%s\n", f.what, f.use)
		fmt.Fprintf(w, "\t\t  because %v\n\t\t  %s\n", f.err, f.advice)
	}
	return w.Flush()
}

// examine probes; it never goes by version or user.
func examine(ctx context.Context, s engine.Streams, agentMode string) []finding {
	findings := []finding{
		{"notifications", "seccomp tells upall of connect and listen", linux.HasUserNotification(), "upall cannot hold anything without: it needs Linux 5.9 with CONFIG_SECCOMP_FILTER, and a container or sandbox around it that allows seccomp"},
		{"parking", "a held connect of a process looks like a slow network to it", intercept.CannotPark(nil), "run upall as root for it; else early listeners hold for services with declared ports (expose, ports), and blocked calls for the rest"},
		{"names", "each process sees the services' names in its /etc/hosts", probeNames(), "allow user namespaces: sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone or kernel.apparmor_restrict_unprivileged_userns; or run upall as root"},
		{"memory", "upall may read the addresses that services connect to", ptraceAllowed(), "set kernel.yama.ptrace_scope to 2 or less"},
	}
	findings = append(findings, docker(ctx, s, agentMode)...)
	for _, f := range []struct {
		what, use string
		has       bool
		since     string
	}{
		{"thread files", "sockets of threads with files of their own are held too", linux.HasPIDFDThread(), "6.9"},
		{"quiet holds", "signals do not interrupt a kept call", linux.HasWaitKillable(), "5.19"},
	} {
		add := finding{what: f.what, use: f.use, advice: "nothing to do: upall has another way, a newer kernel is better"}
		if !f.has {
			add.err = fmt.Errorf("it needs Linux %s", f.since)
		}
		findings = append(findings, add)
	}
	return findings
}

func probeNames() error {
	dir, err := os.MkdirTemp("", "upall-doctor-")
	if err != nil {
		return err
	}
	return errors.Join(process.ProbeNames(dir), os.Remove(dir))
}

// ptraceAllowed reads Yama's setting: from 3 on nobody may look into a process.
func ptraceAllowed() error {
	scope, err := os.ReadFile("/proc/sys/kernel/yama/ptrace_scope")
	if err != nil {
		return nil //nolint:nilerr // no Yama, no restriction
	}
	if s := strings.TrimSpace(string(scope)); s == "3" {
		return errors.New("kernel.yama.ptrace_scope is " + s)
	}
	return nil
}
