package seccomp

import (
	"fmt"
	"os"
	"testing"

	"upall/internal/testenv"
)

// roleVariable has the test binary be another process of a test; its value is one
// of roles.
const roleVariable = "UPALL_SECCOMP_ROLE"

var roles = map[string]func() error{
	"caller": call,
	"agent":  runAgent,
}

func TestMain(m *testing.M) {
	role, ok := roles[os.Getenv(roleVariable)]
	if !ok {
		os.Exit(testenv.Run(m))
	}
	if err := role(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
