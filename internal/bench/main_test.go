package bench

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"upall/internal/testenv"
)

// tools is the folder with upall and the programs of testdata. Empty where there
// is nothing to measure.
var tools string

func TestMain(m *testing.M) { os.Exit(runBenchmarks(m)) }

func runBenchmarks(m *testing.M) int {
	flag.Parse()
	if flag.Lookup("test.bench").Value.String() == "" {
		return m.Run() // plain tests need not wait for the compilers
	}
	folder, err := os.MkdirTemp("", "upall-bench-")
	if err != nil {
		return complain(err)
	}
	tools = folder
	if err := install(folder); err != nil {
		return complain(errors.Join(err, os.RemoveAll(folder)))
	}
	status := testenv.Run(m)
	if err := os.RemoveAll(folder); err != nil {
		return complain(err)
	}
	return status
}

func complain(err error) int {
	if _, werr := fmt.Fprintf(os.Stderr, "bench: %v\nFAIL\n", err); werr != nil {
		return 2
	}
	return 1
}

func install(folder string) error {
	upall, worker, stamp := filepath.Join(folder, "upall"), filepath.Join(folder, "worker"), filepath.Join(folder, "stamp")
	return errors.Join(
		build("make", "--no-print-directory", "-C", "../..", "build", "BIN="+upall),
		build("gcc", "-O2", "-Wall", "-pthread", "-o", worker, "testdata/worker.c"),
		build("gcc", "-O2", "-Wall", "-static", "-o", stamp, "testdata/stamp.c"),
	)
}

func build(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return nil
}
