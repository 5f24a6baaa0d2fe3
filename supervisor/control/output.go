package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

const (
	// maxOutput is how long a file grows before it becomes the old one.
	maxOutput = 4 << 20
	newSuffix = ".log"
	oldSuffix = ".log.1"
)

// Output keeps what the project's processes write, in two files for each
// instance, of JSON lines: INSTANCE.log, and INSTANCE.log.1 with what came
// before. They are there for the next supervisor too. Make one with OpenOutput.
type Output struct {
	folder string
	warn   func(string)
	limit  int64 // of a file

	mu      sync.Mutex // guards what follows
	files   map[string]*outputFile
	warned  bool
	closed  bool
	changed chan struct{} // closed at the next line; nil while nobody waits
}

// outputFile is what is written of one instance.
type outputFile struct {
	service   string
	file      *os.File // INSTANCE.log
	size      int64
	rotations int
}

// OpenOutput goes on with the files in the folder, which it makes where there is
// none. warn is told the first error of a write.
func OpenOutput(folder string, warn func(string)) (*Output, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("keep the output of processes: %w", err)
	}
	o := &Output{folder: folder, warn: warn, limit: maxOutput, files: map[string]*outputFile{}}
	names, err := filepath.Glob(filepath.Join(folder, "*"+newSuffix))
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		instance := strings.TrimSuffix(filepath.Base(name), newSuffix)
		f, err := o.open(instance)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("keep the output of %s: %w", instance, err), o.Close())
		}
		f.service = serviceOf(o.path(instance, oldSuffix), o.path(instance, newSuffix))
		o.files[instance] = f
	}
	return o, nil
}

func (o *Output) path(instance, suffix string) string {
	return filepath.Join(o.folder, instance+suffix)
}

// open opens a file to append to it, on a new line: the last may have been cut.
func (o *Output) open(instance string) (*outputFile, error) {
	file, err := os.OpenFile(o.path(instance, newSuffix), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	f := &outputFile{file: file}
	st, err := file.Stat()
	if err == nil {
		f.size = st.Size()
	}
	last := []byte{'\n'}
	if err == nil && f.size > 0 {
		_, err = file.ReadAt(last, f.size-1)
	}
	if err == nil && last[0] != '\n' {
		_, err = file.Write([]byte{'\n'})
		f.size++
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return f, nil
}

// serviceOf reads the service of the first line that there is.
func serviceOf(paths ...string) string {
	for _, path := range paths {
		file, err := os.Open(path)
		if err != nil {
			continue
		}
		s := newSource([]*os.File{file})
		line, ok := s.peek()
		s.close()
		if ok {
			return line.Service
		}
	}
	return ""
}

// Write adds a line. An error loses the line and nothing else.
func (o *Output) Write(line LogLine) {
	text, err := json.Marshal(ofLine(line))
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return
	}
	if err == nil {
		err = o.write(line, append(text, '\n'))
	}
	if err != nil && !o.warned {
		o.warned = true
		o.warn(fmt.Sprintf("the output of %s is not kept, so `upall logs` will not show all of it: %v", line.Instance, err))
	}
	if o.changed != nil {
		close(o.changed)
		o.changed = nil
	}
}

func (o *Output) write(line LogLine, text []byte) (err error) {
	f := o.files[line.Instance]
	if f == nil {
		if line.Instance == "" || strings.ContainsRune(line.Instance, '/') {
			return fmt.Errorf("%q is no name of a file", line.Instance)
		}
		if f, err = o.open(line.Instance); err != nil {
			return err
		}
		f.service = line.Service
		o.files[line.Instance] = f
	}
	if f.size > 0 && f.size+int64(len(text)) > o.limit {
		if err := o.rotate(line.Instance, f); err != nil {
			return err
		}
	}
	n, err := f.file.Write(text)
	if f.size += int64(n); err != nil && n > 0 {
		_ = f.file.Truncate(f.size - int64(n)) // no half lines, where that is possible
		f.size -= int64(n)
	}
	return err
}

// rotate begins a new file. Whoever reads the old one keeps it open.
func (o *Output) rotate(instance string, f *outputFile) error {
	if err := os.Rename(o.path(instance, newSuffix), o.path(instance, oldSuffix)); err != nil {
		return err
	}
	next, err := o.open(instance)
	if err != nil {
		return err
	}
	_ = f.file.Close() // it was written without an error
	f.file, f.size = next.file, next.size
	f.rotations++
	return nil
}

// Close closes the files and ends those who follow.
func (o *Output) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	if o.changed != nil {
		close(o.changed)
		o.changed = nil
	}
	var errs []error
	for _, f := range o.files {
		errs = append(errs, f.file.Close())
	}
	o.files = nil
	return errors.Join(errs...)
}
