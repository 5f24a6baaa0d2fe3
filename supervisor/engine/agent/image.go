package agent

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
)

// repository is the name of the images, whose tags are digests.
const repository = "upall-agent"

const (
	program = "upall"
	keeper  = "upall-keeper" // a link: the executable goes by its name
	digits  = 16             // of the digest, in the tag
)

// Image returns the name of the image that an executable goes into.
func Image(executable string) (string, error) {
	file, err := os.Open(executable)
	if err != nil {
		return "", fmt.Errorf("read upall's executable: %w", err)
	}
	defer func() { _ = file.Close() }() // only read
	digest := sha256.New()
	if _, err := io.Copy(digest, file); err != nil {
		return "", fmt.Errorf("read upall's executable: %w", err)
	}
	return repository + ":" + hex.EncodeToString(digest.Sum(nil))[:digits], nil
}

// makeImage makes the image, and removes those of other executables that nobody uses.
func makeImage(ctx context.Context, api client.APIClient, executable, name string) error {
	file, err := os.Open(executable)
	if err != nil {
		return fmt.Errorf("read upall's executable: %w", err)
	}
	defer func() { _ = file.Close() }() // only read
	source, sink := io.Pipe()
	go func() { sink.CloseWithError(pack(sink, file)) }()
	defer func() { _ = source.Close() }() // ends pack, if the engine has not read all
	result, err := api.ImageImport(ctx, client.ImageImportSource{Source: source, SourceName: "-"}, name, client.ImageImportOptions{
		Message: about,
		Changes: []string{
			fmt.Sprintf(`LABEL %s="" %s=%q`, label, aboutLabel, about),
		},
	})
	if err != nil {
		return fmt.Errorf("make the agent's image: %w", err)
	}
	_, err = io.Copy(io.Discard, result)
	if err = errors.Join(err, result.Close()); err != nil {
		return fmt.Errorf("make the agent's image: %w", err)
	}
	return removeOthers(ctx, api, name)
}

// pack writes the root file system of the image: the executable, and where mounts go.
func pack(to io.Writer, executable *os.File) error {
	w := tar.NewWriter(to)
	if err := packFile(w, program, executable); err != nil {
		return err
	}
	if err := w.WriteHeader(&tar.Header{Name: keeper, Typeflag: tar.TypeSymlink, Linkname: program}); err != nil {
		return err
	}
	for _, directory := range []string{"tmp", "run", "var", "var/run", "var/lib"} {
		if err := w.WriteHeader(&tar.Header{Name: directory + "/", Typeflag: tar.TypeDir, Mode: 0o755}); err != nil {
			return err
		}
	}
	return w.Close()
}

func packFile(w *tar.Writer, name string, executable *os.File) error {
	st, err := executable.Stat()
	if err != nil {
		return err
	}
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: st.Size(), ModTime: st.ModTime()}); err != nil {
		return err
	}
	_, err = io.Copy(w, executable)
	return err
}

// removeOthers removes the images of other executables. One that an agent runs
// from stays.
func removeOthers(ctx context.Context, api client.APIClient, name string) error {
	list, err := api.ImageList(ctx, client.ImageListOptions{Filters: client.Filters{}.Add("label", label)})
	if err != nil {
		return fmt.Errorf("look for old images of the agent: %w", err)
	}
	for _, i := range list.Items {
		for _, tag := range i.RepoTags {
			if tag == name || !strings.HasPrefix(tag, repository+":") {
				continue
			}
			_, err := api.ImageRemove(ctx, tag, client.ImageRemoveOptions{PruneChildren: true})
			if err != nil && !errdefs.IsConflict(err) && !errdefs.IsNotFound(err) {
				return fmt.Errorf("remove the old image %s of the agent: %w", tag, err)
			}
		}
	}
	return nil
}
