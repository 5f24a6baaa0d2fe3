package engine

import (
	"fmt"
	"os"
	"testing"

	"upall/internal/testenv"
)

func TestMain(m *testing.M) {
	if text := os.Getenv(watcherVariable); text != "" {
		if err := runWatcher(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
	os.Exit(testenv.Run(m))
}
