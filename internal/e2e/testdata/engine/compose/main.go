// Command compose is Docker Compose, from the same library as upall's.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"upall/supervisor/engine"
)

func main() {
	streams := engine.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}
	err := engine.Command(context.Background(), streams, os.Args[1:])
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "compose:", err)
	if exit, ok := errors.AsType[engine.ExitError](err); ok {
		os.Exit(exit.Code)
	}
	os.Exit(1)
}
