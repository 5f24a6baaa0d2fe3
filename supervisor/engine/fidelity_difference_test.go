package engine

import (
	"maps"
	"reflect"
	"slices"
)

// difference is a field that differs.
type difference struct {
	path         string
	ours, theirs any
	// The container, network or volume that the field is of; nil if there is no
	// such one.
	ourWhole, theirWhole map[string]any
}

// differences lists the fields in which two snapshots differ. Lists are
// compared as a whole.
func differences(ours, theirs map[string]any) []difference {
	var all []difference
	for _, kind := range sortedKeys(ours, theirs) {
		of, their := object(ours[kind]), object(theirs[kind])
		for _, name := range sortedKeys(of, their) {
			for _, d := range compare(joinPath(kind, name), of[name], their[name]) {
				d.ourWhole, d.theirWhole = object(of[name]), object(their[name])
				all = append(all, d)
			}
		}
	}
	return all
}

// compare compares objects by their fields, also with what is none: an object
// that the other side lacks is one difference.
func compare(path string, ours, theirs any) []difference {
	a, isA := ours.(map[string]any)
	b, isB := theirs.(map[string]any)
	if reflect.DeepEqual(ours, theirs) {
		return nil
	}
	if !isA || !isB || matchesAny(path) {
		return []difference{{path: path, ours: ours, theirs: theirs}}
	}
	var all []difference
	for _, key := range sortedKeys(a, b) {
		all = append(all, compare(joinPath(path, key), a[key], b[key])...)
	}
	return all
}

// matchesAny tells whether the path is one of the table: objects of it are
// compared as a whole too.
func matchesAny(path string) bool {
	return slices.ContainsFunc(allowed, func(row allowance) bool { return matchesPath(row.path, path) })
}

// sortedKeys are the keys of both maps.
func sortedKeys(a, b map[string]any) []string {
	keys := maps.Clone(a)
	if keys == nil {
		keys = map[string]any{}
	}
	maps.Copy(keys, b)
	return slices.Sorted(maps.Keys(keys))
}
