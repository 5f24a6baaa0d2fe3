package compose

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// locate fills in file and line of the place where e.Path is written. Among
// several files the last one that knows most of the path wins, as it does when
// the files are merged; one that holds hint in the value goes before others.
func (s *Sources) locate(e *FieldError, hint string) *FieldError {
	if s == nil || e == nil || e.Line > 0 || len(s.files) == 0 {
		return e
	}
	best := match{depth: -1}
	file := ""
	for _, f := range s.files {
		if e.File != "" && e.File != f.name {
			continue
		}
		for _, doc := range f.docs {
			m := find(doc, e.Path, hint)
			if !best.beats(m) {
				best, file = m, f.name
			}
		}
	}
	switch {
	case best.depth > 0:
		e.File, e.Line = file, best.line
	case e.File == "" && e.Path != "":
		e.File = s.files[0].name
	}
	return e
}

// locateErr is locate for an error of any type.
func (s *Sources) locateErr(err error) error {
	var field *FieldError
	if errors.As(err, &field) {
		return s.locate(field, "")
	}
	return err
}

// match is how much of a key path was found in a file.
type match struct {
	depth int // length of the part of the path that was found
	hint  bool
	line  int
}

// beats says whether m stays better than a match of a later file.
func (m match) beats(later match) bool {
	if m.depth != later.depth {
		return m.depth > later.depth
	}
	return m.hint && !later.hint
}

// find follows a key path as far as the file goes. Keys may hold dots, so at
// each mapping every key is tried that the rest of the path starts with.
func find(doc *yaml.Node, path, hint string) match {
	root := content(doc)
	if root == nil || path == "" {
		return match{}
	}
	s := search{hint: hint, steps: maxSteps}
	return s.follow(root, path, match{line: root.Line})
}

// maxSteps bounds a search: aliases can make a small file a huge tree.
const maxSteps = 10000

// maxNesting bounds how deep a tree is walked.
const maxNesting = 100

// search is one walk along a key path.
type search struct {
	hint  string
	steps int // left to go
}

func (s *search) follow(n *yaml.Node, rest string, sofar match) match {
	n = content(n)
	s.steps--
	if n == nil || s.steps < 0 {
		return sofar
	}
	if rest == "" {
		sofar.hint = s.hint != "" && holds(n, s.hint, 0)
		return sofar
	}
	best := sofar
	for _, step := range steps(n, rest, sofar.line) {
		m := s.follow(step.value, strings.TrimPrefix(rest[step.used:], "."), match{depth: sofar.depth + step.used, line: step.line})
		if m.depth > best.depth || m.depth == best.depth && m.hint && !best.hint {
			best = m
		}
	}
	return best
}

// step is one way on from a node.
type step struct {
	value *yaml.Node
	line  int // of the key
	used  int // length of the part of the path that the key is
}

// steps returns the ways on from a node along a path; at is the node's line.
func steps(n *yaml.Node, rest string, at int) []step {
	var ways []step
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, value := n.Content[i], n.Content[i+1]
			if startsWithKey(rest, key.Value) {
				ways = append(ways, step{value, key.Line, len(key.Value)})
			}
			if key.Value != "<<" {
				continue
			}
			for _, merged := range mergeValues(value) {
				ways = append(ways, step{merged, at, 0})
			}
		}
	case yaml.SequenceNode:
		for i, item := range n.Content {
			if used := startsWithItem(rest, i, item); used > 0 {
				ways = append(ways, step{item, item.Line, used})
			}
		}
	}
	return ways
}

// mergeValues returns the mappings of a merge key: one, or a list of them.
func mergeValues(value *yaml.Node) []*yaml.Node {
	if value = content(value); value != nil && value.Kind == yaml.SequenceNode {
		return value.Content
	}
	return []*yaml.Node{value}
}

// startsWithKey reports whether the path's next key is key.
func startsWithKey(rest, key string) bool {
	after, ok := strings.CutPrefix(rest, key)
	return ok && key != "" && (after == "" || after[0] == '.' || after[0] == '[')
}

// startsWithItem returns how much of the path names the list's item: its index
// in one of the notations in use ("[]" is any), or, for "depends_on: [db]" and the like, its
// text up to "=" or ":".
func startsWithItem(rest string, i int, item *yaml.Node) int {
	for _, index := range []string{fmt.Sprintf("[%d]", i), strconv.Itoa(i), "[]"} {
		if startsWithKey(rest, index) {
			return len(index)
		}
	}
	if item.Kind == yaml.ScalarNode {
		name, _, _ := strings.Cut(item.Value, "=")
		name, _, _ = strings.Cut(name, ":")
		if startsWithKey(rest, name) {
			return len(name)
		}
	}
	return 0
}

// holds reports whether a scalar below n contains text. It does not follow
// aliases.
func holds(n *yaml.Node, text string, nesting int) bool {
	if nesting > maxNesting {
		return false
	}
	if n.Kind == yaml.ScalarNode {
		return strings.Contains(n.Value, text)
	}
	for _, c := range n.Content {
		if holds(c, text, nesting+1) {
			return true
		}
	}
	return false
}

// findValue returns the key path, the file and the line of the first scalar
// that ok accepts, in file order.
func (s *Sources) findValue(ok func(path, value string) bool) *FieldError {
	for _, f := range s.files {
		for _, doc := range f.docs {
			if e := walk(content(doc), "", ok, 0); e != nil {
				e.File = f.name
				return e
			}
		}
	}
	return nil
}

func walk(n *yaml.Node, path string, ok func(path, value string) bool, nesting int) *FieldError {
	if n == nil || nesting > maxNesting {
		return nil
	}
	switch n.Kind {
	case yaml.ScalarNode:
		if ok(path, n.Value) {
			return &FieldError{Path: path, Line: n.Line}
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			next := strings.TrimPrefix(path+"."+n.Content[i].Value, ".")
			if e := walk(n.Content[i+1], next, ok, nesting+1); e != nil {
				return e
			}
		}
	case yaml.SequenceNode:
		for i, item := range n.Content {
			if e := walk(item, fmt.Sprintf("%s[%d]", path, i), ok, nesting+1); e != nil {
				return e
			}
		}
	}
	return nil
}
