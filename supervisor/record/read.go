package record

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"upall/supervisor/status"
)

// maxKept is how many records of a project are kept.
const maxKept = 5

// suffix is of a record's file, after its number.
const suffix = ".jsonl"

// Info says which record is where.
type Info struct {
	Number int // 1 is the newest
	Path   string
}

// Dir is where the records of a project are: beside its state directory, which ends
// with the run. No project's name has a dot in it.
func Dir(base, project string) string { return filepath.Join(base, project+".runs") }

// List returns the records of a project, the newest first.
func List(base, project string) ([]Info, error) {
	entries, err := os.ReadDir(Dir(base, project))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("look for records of project %q: %w", project, err)
	}
	var numbers []int
	for _, e := range entries {
		if n, err := strconv.Atoi(strings.TrimSuffix(e.Name(), suffix)); err == nil {
			numbers = append(numbers, n)
		}
	}
	slices.SortFunc(numbers, func(a, b int) int { return cmp.Compare(b, a) })
	var all []Info
	for i, n := range numbers {
		all = append(all, Info{i + 1, pathOf(base, project, n)})
	}
	return all, nil
}

func pathOf(base, project string, n int) string {
	return filepath.Join(Dir(base, project), strconv.Itoa(n)+suffix)
}

// Open reads the record with a number as of List, the newest for 0. The error wraps
// fs.ErrNotExist if there is none.
func Open(base, project string, number int) (*Run, error) {
	all, err := List(base, project)
	if err != nil {
		return nil, err
	}
	number = max(1, number)
	if number > len(all) {
		return nil, fmt.Errorf("run %d of project %q: %w", number, project, fs.ErrNotExist)
	}
	file, err := os.Open(all[number-1].Path)
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // it was read
	return Read(file)
}

// Give gives the records of a project to a user, who may read and remove them then.
func Give(base, project string, uid int) error {
	err := os.Lchown(Dir(base, project), uid, -1)
	list, listErr := List(base, project)
	for _, i := range list {
		err = errors.Join(err, os.Lchown(i.Path, uid, -1))
	}
	return errors.Join(err, listErr)
}

// Remove removes all records of a project.
func Remove(base, project string) error {
	if project == "" || filepath.Base(project) != project {
		return nil // no project has such a name
	}
	err := os.RemoveAll(Dir(base, project))
	_ = os.Remove(base) // fails while there is anything else
	return err
}

// next makes room for another record and returns its path.
func next(base, project string) (string, error) {
	if err := os.Mkdir(Dir(base, project), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	all, err := List(base, project)
	if err != nil {
		return "", err
	}
	number := 1
	for n, i := range all {
		if n == 0 {
			newest, _ := strconv.Atoi(strings.TrimSuffix(filepath.Base(i.Path), suffix))
			number = newest + 1
		}
		if n >= maxKept-1 {
			if err := os.Remove(i.Path); err != nil {
				return "", err
			}
		}
	}
	return pathOf(base, project, number), nil
}

// Read reads a record. What is no whole line at its end, as a writer that was
// killed leaves it, is passed over.
func Read(from io.Reader) (*Run, error) {
	run := &Run{}
	edges := map[status.EdgeKey]status.Edge{}
	lines := bufio.NewReader(from)
	for n := 1; ; n++ {
		text, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read a record: %w", err)
		}
		var l Line
		if err := json.Unmarshal(text, &l); err != nil {
			run.Lost++ // where a writer was killed, and the next went on
			continue
		}
		if n == 1 && (l.Header == nil || l.Header.Format != Format) {
			return nil, errors.New("read a record: it is of another version of upall")
		}
		run.add(l, edges)
	}
	if run.Format == 0 {
		return nil, errors.New("read a record: it is empty")
	}
	run.Edges = slices.SortedFunc(maps.Values(edges), status.Edge.Compare)
	return run, nil
}

func (r *Run) add(l Line, edges map[status.EdgeKey]status.Edge) {
	switch {
	case l.Header != nil:
		r.Header = *l.Header
	case l.Plan != nil:
		r.Plan = *l.Plan
	case l.Event != nil:
		r.Events = append(r.Events, *l.Event)
	}
	for _, e := range l.Edges {
		edges[e.Key()] = e
	}
	r.Lost += l.Lost
}
