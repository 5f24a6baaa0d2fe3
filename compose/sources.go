package compose

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// maxSources bounds how many files are kept for error messages: files may
// include and extend each other at will.
const maxSources = 200

// Sources remembers where the keys of a project were written. Load fills it;
// a nil *Sources knows no files, and errors then come without file and line.
type Sources struct {
	cwd   string
	files []source
}

// source is one compose file.
type source struct {
	path string // absolute, or "-" for standard input
	name string // as shown to the user
	docs []*yaml.Node
}

// add parses a file and keeps it. A syntax error is returned as a FieldError.
func (s *Sources) add(path string, content []byte) error {
	src := source{path: path, name: s.display(path)}
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	for {
		doc := &yaml.Node{}
		err := decoder.Decode(doc)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			reason, line := yamlReason(err.Error())
			return &FieldError{File: src.name, Line: line, Reason: reason, Err: err}
		}
		src.docs = append(src.docs, doc)
	}
	s.files = append(s.files, src)
	return nil
}

// yamlReason takes the parser's layout off a message and finds its line: the
// last one named, where the parser stopped understanding. There are two
// layouts, "go-yaml load error in scanner (while ...) at L4.C3-L5.C1: why" and
// "yaml: construct errors: line 4: why".
func yamlReason(text string) (reason string, line int) {
	reason = oneLine(text)
	if m := regexp.MustCompile(`^go-yaml load error in \w+(?: \((.*?)\))? at (\S+|<unknown position>): (.*)$`).FindStringSubmatch(reason); m != nil {
		if lines := regexp.MustCompile(`L(\d+)`).FindAllStringSubmatch(m[2], -1); len(lines) > 0 {
			line, _ = strconv.Atoi(lines[len(lines)-1][1]) // digits; too many of them are no line
		}
		if m[1] != "" {
			return m[3] + " (" + m[1] + ")", line
		}
		return m[3], line
	}
	for _, prefix := range []string{"yaml: ", "construct errors: "} {
		reason = strings.TrimPrefix(reason, prefix)
	}
	at := regexp.MustCompile(`line (\d+)(?:, column \d+)?: `)
	if all := at.FindAllStringSubmatchIndex(reason, -1); len(all) > 0 {
		last := all[len(all)-1]
		if n, err := strconv.Atoi(reason[last[2]:last[3]]); err == nil {
			line = n
		}
		if all[0][0] == 0 { // "line 1: line 4: ...": the place says it already
			reason = reason[last[1]:]
		}
	}
	return reason, line
}

// addReferred adds the local files that the known ones include or extend, as
// far as they can be read. What cannot is the loader's business to report.
func (s *Sources) addReferred(projectDir string) {
	for i := 0; i < len(s.files) && len(s.files) < maxSources; i++ {
		dir := projectDir
		if i > 0 && s.files[i].path != "-" {
			dir = filepath.Dir(s.files[i].path)
		}
		for _, ref := range s.files[i].referred() {
			s.addIfReadable(dir, ref)
			s.addIfReadable(projectDir, ref)
		}
	}
}

// addIfReadable adds a regular file that is not known yet.
func (s *Sources) addIfReadable(dir, ref string) {
	path := ref
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, ref)
	}
	for _, known := range s.files {
		if known.path == path {
			return
		}
	}
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() || len(s.files) >= maxSources {
		return
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return
	}
	before := len(s.files)
	if s.add(path, content) != nil {
		s.files = s.files[:before]
	}
}

// referred returns the paths under include and services.*.extends.file.
func (f source) referred() []string {
	var refs []string
	for _, doc := range f.docs {
		include := child(doc, "include")
		if include != nil {
			for _, item := range include.Content {
				refs = append(refs, scalars(item)...)
				refs = append(refs, scalars(child(item, "path"))...)
			}
		}
		services := child(doc, "services")
		if services == nil || services.Kind != yaml.MappingNode {
			continue
		}
		for i := 1; i < len(services.Content); i += 2 {
			refs = append(refs, scalars(child(child(services.Content[i], "extends"), "file"))...)
		}
	}
	return refs
}

// child returns the value of a key of a mapping, or nil.
func child(n *yaml.Node, key string) *yaml.Node {
	n = content(n)
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return content(n.Content[i+1])
		}
	}
	return nil
}

// content steps through documents and aliases to the node itself.
func content(n *yaml.Node) *yaml.Node {
	for n != nil {
		switch {
		case n.Kind == yaml.DocumentNode && len(n.Content) > 0:
			n = n.Content[0]
		case n.Kind == yaml.AliasNode:
			n = n.Alias
		default:
			return n
		}
	}
	return nil
}

// scalars returns a scalar's value, or those of a list of scalars.
func scalars(n *yaml.Node) []string {
	n = content(n)
	if n == nil {
		return nil
	}
	if n.Kind == yaml.ScalarNode {
		return []string{n.Value}
	}
	var values []string
	if n.Kind == yaml.SequenceNode {
		for _, item := range n.Content {
			if item.Kind == yaml.ScalarNode {
				values = append(values, item.Value)
			}
		}
	}
	return values
}

// display gives the name under which the user knows a file.
func (s *Sources) display(path string) string {
	if path == "-" {
		return "stdin"
	}
	rel, err := filepath.Rel(s.cwd, path)
	if err != nil || rel == ".." || strings.HasPrefix(rel, "../") {
		return path
	}
	return rel
}
