package testenv

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// settleLimit is how long goroutines and descriptors may take to go away
// after the last test: an ending that is under way is no leak.
const settleLimit = 3 * time.Second

// Run runs a package's tests and then fails if they left goroutines or open
// descriptors behind. It returns the exit status:
//
//	func TestMain(m *testing.M) { os.Exit(testenv.Run(m)) }
func Run(m *testing.M) int {
	before, err := takeSnapshot()
	if err != nil {
		return complain(os.Stderr, err)
	}
	status := m.Run()
	if status != 0 {
		return status // a failed test may well leave things behind
	}
	if err := before.settle(settleLimit); err != nil {
		return complain(os.Stderr, err)
	}
	return 0
}

func complain(w io.Writer, problem error) int {
	if _, err := fmt.Fprintf(w, "testenv: %v\nFAIL\n", problem); err != nil {
		return 2
	}
	return 1
}

// snapshot is what the process has open and running at one moment.
type snapshot struct {
	goroutines map[string]string // the stack, by "goroutine 7"
	files      map[string]string // the target of the link, by number
}

func takeSnapshot() (snapshot, error) {
	// The runtime opens its epoll and eventfd at the first pollable file and
	// keeps them. Have that happen before anything is counted.
	reader, writer, err := os.Pipe()
	if err != nil {
		return snapshot{}, fmt.Errorf("start the runtime's poller: %w", err)
	}
	if err := errors.Join(reader.Close(), writer.Close()); err != nil {
		return snapshot{}, fmt.Errorf("close the poller's first pipe: %w", err)
	}
	files, err := openFiles()
	return snapshot{goroutines: goroutines(), files: files}, err
}

// settle waits until nothing is left that was not there in the snapshot. The
// error lists what stays.
func (s snapshot) settle(limit time.Duration) error {
	return await(limit, func() error {
		files, err := openFiles()
		if err != nil {
			return err
		}
		var leaks []string
		for _, number := range slices.Sorted(maps.Keys(files)) {
			if s.files[number] != files[number] {
				leaks = append(leaks, "leaked descriptor "+number+": "+files[number])
			}
		}
		running := goroutines()
		for _, id := range slices.Sorted(maps.Keys(running)) {
			if _, known := s.goroutines[id]; !known {
				leaks = append(leaks, "leaked "+running[id])
			}
		}
		if len(leaks) == 0 {
			return nil
		}
		return errors.New(strings.Join(leaks, "\n"))
	})
}

// openFiles returns the open descriptors of this process.
func openFiles() (map[string]string, error) {
	const folder = "/proc/self/fd"
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("list the open descriptors: %w", err)
	}
	files := make(map[string]string, len(entries))
	for _, entry := range entries {
		target, err := os.Readlink(filepath.Join(folder, entry.Name()))
		if errors.Is(err, os.ErrNotExist) {
			continue // the one that ReadDir itself had open
		}
		if err != nil {
			return nil, fmt.Errorf("read the open descriptors: %w", err)
		}
		files[entry.Name()] = target
	}
	return files, nil
}

// goroutines returns the stacks of all goroutines but the caller's and those
// that the standard library starts once and never ends.
func goroutines() map[string]string {
	buffer := make([]byte, 1<<16)
	for {
		n := runtime.Stack(buffer, true)
		if n < len(buffer) {
			buffer = buffer[:n]
			break
		}
		buffer = make([]byte, 2*len(buffer)) // a full buffer may have been cut
	}
	stacks := strings.Split(strings.TrimSpace(string(buffer)), "\n\n")
	others := make(map[string]string, len(stacks))
	for _, stack := range stacks[1:] { // the first is the caller's
		if strings.Contains(stack, "os/signal.loop()") || strings.Contains(stack, "runtime.ensureSigM") {
			continue
		}
		id, _, _ := strings.Cut(stack, " [")
		others[id] = stack
	}
	return others
}
