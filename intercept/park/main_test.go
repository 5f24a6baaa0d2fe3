package park

import (
	"os"
	"testing"

	"upall/internal/testenv"
)

func TestMain(m *testing.M) {
	if os.Getenv(victimVariable) != "" {
		os.Exit(runVictim())
	}
	os.Exit(testenv.Run(m))
}
