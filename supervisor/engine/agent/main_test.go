package agent

import (
	"os"
	"testing"

	"upall/internal/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.RunGoldens(m)) }
