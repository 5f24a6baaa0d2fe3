package testenv

import (
	"os/exec"
	"path/filepath"
)

// serverFolders are where Debian and others keep programs that the PATH of an
// ordinary user does not hold; the newest PostgreSQL sorts last.
func serverFolders() []string {
	return []string{"/usr/sbin", "/sbin", "/usr/local/sbin", "/usr/lib/postgresql/*/bin"}
}

// lookProgram returns the path of a program, or "".
func lookProgram(name string) string {
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	for _, folder := range serverFolders() {
		// The patterns are constants; Glob fails only on a malformed one.
		matches, err := filepath.Glob(filepath.Join(folder, name))
		if err != nil || len(matches) == 0 {
			continue
		}
		newest := matches[len(matches)-1]
		if path, err := exec.LookPath(newest); err == nil {
			return path
		}
	}
	return ""
}
