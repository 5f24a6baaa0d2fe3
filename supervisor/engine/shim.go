package engine

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/moby/moby/client"

	"upall/intercept/seccomp"
	"upall/intercept/shim"
)

// The shim in a container: this executable, bind-mounted read-only, and a
// directory with what it reads.
const (
	shimProgram   = "/.upall/" + shim.Name
	shimDirectory = "/.upall/instance"

	filterFile = "filter"
	stateFile  = "state"
	socketFile = "agent.sock"
)

// shimHandOver puts the shim in front of a container's program, for engines
// that do not hand notifyFDs over themselves.
type shimHandOver struct {
	program      string // where the executable is on the engine's machine
	directory    string // where the instance's files are
	waitKillable bool
}

// apply keeps entrypoint and arguments apart, as other tools show them so.
func (s shimHandOver) apply(o *client.ContainerCreateOptions, image program, _ string) error {
	c := whole(o.Config, image)
	if len(c.entrypoint) == 0 && len(c.args) == 0 {
		return nil // the engine says best that there is nothing to run
	}
	options := shim.Options{
		Optional: true, WaitKillable: s.waitKillable,
		Filter: shimDirectory + "/" + filterFile,
		State:  shimDirectory + "/" + stateFile,
		Socket: shimDirectory + "/" + socketFile,
	}
	args := options.Args(c.entrypoint)
	args[0] = shimProgram
	o.Config.Entrypoint, o.Config.Cmd = args, c.args
	// Binds, not Mounts: the engine makes a directory that is missing, so that
	// the container can be started without upall.
	o.HostConfig.Binds = append(o.HostConfig.Binds,
		s.program+":"+shimProgram+":ro",
		s.directory+":"+shimDirectory+":ro",
	)
	return nil
}

// write makes the instance's files for its shim. socket is the agent's own,
// linked into the directory, for the container sees nothing else of the host. It
// may be called while the container runs: what is right is left alone.
func (s shimHandOver) write(filter []byte, metadata, socket string) error {
	state, err := seccomp.MarshalState(metadata)
	if err != nil {
		return err
	}
	// World-readable: a container may run as any user. The directory above is not.
	if err := os.MkdirAll(s.directory, 0o755); err != nil {
		return err
	}
	for name, content := range map[string][]byte{filterFile: filter, stateFile: state} {
		if err := replaceFile(filepath.Join(s.directory, name), content); err != nil {
			return err
		}
	}
	return linkSocket(socket, filepath.Join(s.directory, socketFile))
}

// replaceFile leaves a file whole at any time: the container may be started by
// somebody else just now.
func replaceFile(path string, content []byte) error {
	if have, err := os.ReadFile(path); err == nil && bytes.Equal(have, content) {
		return nil
	}
	if err := os.WriteFile(path+".new", content, 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// linkSocket links a socket to a path, if it is not that very one.
func linkSocket(socket, path string) error {
	want, err := os.Stat(socket)
	if err != nil {
		return err
	}
	have, err := os.Lstat(path)
	switch {
	case err == nil && os.SameFile(want, have):
		return nil
	case err == nil:
		if err := os.Remove(path); err != nil {
			return err
		}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := os.Link(socket, path); err != nil {
		return err
	}
	return os.Chmod(path, 0o666)
}

// installShim copies this executable to path, if another is there.
func installShim(path string) (err error) {
	own, err := os.Open("/proc/self/exe")
	if err != nil {
		return fmt.Errorf("open upall's executable: %w", err)
	}
	defer func() { _ = own.Close() }() // only read
	st, err := own.Stat()
	if err != nil {
		return err
	}
	if have, err := os.Stat(path); err == nil && have.Size() == st.Size() && have.ModTime().Equal(st.ModTime()) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	// Renamed into place, so that a container that starts now finds one or the other.
	temp, err := os.CreateTemp(filepath.Dir(path), shim.Name+"-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(temp.Name())
		}
	}()
	if _, err := io.Copy(temp, own); err != nil {
		_ = temp.Close()
		return fmt.Errorf("copy upall to %s: %w", path, err)
	}
	if err := temp.Chmod(0o755); err != nil {
		_ = temp.Close()
		return err
	}
	if err := temp.Close(); err != nil {
		return err
	}
	if err := os.Chtimes(temp.Name(), st.ModTime(), st.ModTime()); err != nil {
		return err
	}
	return os.Rename(temp.Name(), path)
}
