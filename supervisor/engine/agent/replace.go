package agent

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"os"
	"path"

	"github.com/moby/moby/client"
)

// Replacement is the path of the executable that later lives of the supervisor in an
// agent are to be, in the container. shim is Directories.Shim, key Options.Key.
func Replacement(shim, project, key string) string {
	return path.Join(shim, project+"-agent-"+key)
}

// Replace puts an executable there.
func (a *Agent) Replace(ctx context.Context, executable string) error {
	file, err := os.Open(executable)
	if err != nil {
		return fmt.Errorf("read upall's executable: %w", err)
	}
	defer func() { _ = file.Close() }() // only read
	target := Replacement(a.Shim, a.project, a.key)
	source, sink := io.Pipe()
	defer func() { _ = source.Close() }() // ends the packing, if the engine has not read all
	go func() {
		w := tar.NewWriter(sink)
		err := packFile(w, path.Base(target), file)
		if err == nil {
			err = w.Close()
		}
		sink.CloseWithError(err)
	}()
	_, err = a.api.CopyToContainer(ctx, a.id, client.CopyToContainerOptions{DestinationPath: path.Dir(target), Content: source})
	if err != nil {
		return fmt.Errorf("bring the agent of project %q to this version: %w", a.project, err)
	}
	return nil
}
