package process

import (
	"bytes"
	"errors"
	"os"
)

// overwrite gives the file another content in place: services that run have the
// file itself mounted, and would go on to see the old one if another took its
// name. It is never empty or short of what both contents have: names are looked
// up at any time. What is the same already is not written.
func overwrite(path string, content []byte, mode os.FileMode) (err error) {
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, content) {
		return nil
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, mode)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if _, err := file.WriteAt(content, 0); err != nil {
		return err
	}
	return file.Truncate(int64(len(content)))
}

// replace gives the file another content in one step: a shim that starts reads
// the old one or the new one.
func replace(path string, content []byte, mode os.FileMode) error {
	fresh := path + ".new"
	if err := os.WriteFile(fresh, content, mode); err != nil {
		return err
	}
	return os.Rename(fresh, path)
}
