package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"
)

// newRelay is what a client of an agent has the engine run in its container. It is
// no command for people.
func newRelay() *cobra.Command {
	return &cobra.Command{
		Use:    "relay SOCKET",
		Short:  "Pass standard input and output on to a socket",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return relay(cmd.InOrStdin(), cmd.OutOrStdout(), args[0])
		},
	}
}

// relay ends when the other end of the socket does. That of the input tells the
// socket's other end.
func relay(in io.Reader, out io.Writer, path string) error {
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return fmt.Errorf("reach the project's supervisor: %w", err)
	}
	defer func() { _ = conn.Close() }() // all that matters was written
	go func() {
		_, _ = io.Copy(conn, in) // who writes sees what becomes of it
		_ = conn.CloseWrite()
	}()
	_, err = io.Copy(out, conn)
	return err
}

const (
	// relayPatience is how long relays may take to pass on what they were given last.
	relayPatience = 2 * time.Second
	relayInterval = 5 * time.Millisecond
)

// awaitRelays waits until no relay is left in this container, whose control API is
// closed: those that are would end with it, and what they have not passed on be lost.
func awaitRelays() {
	again := time.NewTicker(relayInterval)
	defer again.Stop()
	for limit := time.After(relayPatience); hasRelay(); {
		select {
		case <-again.C:
		case <-limit:
			return
		}
	}
}

// hasRelay looks for processes with this one's root directory that are relays.
func hasRelay() bool {
	own, err := os.Stat("/proc/self/root")
	if err != nil {
		return false
	}
	commands, _ := filepath.Glob("/proc/[0-9]*/cmdline") // the pattern is right
	return slices.ContainsFunc(commands, func(path string) bool {
		line, err := os.ReadFile(path)
		if err != nil || !isRelay(line) {
			return false
		}
		root, err := os.Stat(filepath.Join(filepath.Dir(path), "root"))
		return err == nil && os.SameFile(own, root)
	})
}

// isRelay tells whether a command line (proc_pid_cmdline(5)) is of a relay.
func isRelay(line []byte) bool {
	args := bytes.Split(line, []byte{0})
	return len(args) > 1 && string(args[1]) == "relay"
}
