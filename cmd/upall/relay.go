package main

import (
	"fmt"
	"io"
	"net"

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
