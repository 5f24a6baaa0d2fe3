package engine

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"

	"upall/compose"
)

// uncovered are the attributes that no file of the corpus sets, with all that is
// below them, and why. docs/fidelity.md repeats it.
var uncovered = map[string]string{
	"services.*.build":       "needs a builder; what is created does not depend on how the image was made",
	"services.*.provider":    "a program that Compose runs: there is no container",
	"services.*.models":      "needs Docker Model Runner",
	"services.*.storage_opt": "the storage drivers of the engines in the test refuse it",

	"services.*.cpu_rt_period":  "needs a kernel with real-time groups",
	"services.*.cpu_rt_runtime": "needs a kernel with real-time groups",

	"services.*.dockerfile":    "not in the Compose Specification, refused in a file",
	"services.*.log_driver":    "not in the Compose Specification, refused in a file",
	"services.*.log_opt":       "not in the Compose Specification, refused in a file",
	"services.*.net":           "not in the Compose Specification, refused in a file",
	"services.*.volume_driver": "not in the Compose Specification, refused in a file",

	"services.*.extends": "gone when the file is loaded; depends.yaml has one",

	"services.*.deploy.resources.limits.devices":           "only reservations have it in a file",
	"services.*.deploy.resources.limits.generic_resources": "only reservations have it in a file",
	"services.*.deploy.resources.reservations.pids":        "only limits have it in a file",

	"services.*.develop.watch.exec.image":       "only pre_start has it in a file",
	"services.*.develop.watch.exec.per_replica": "only pre_start has it in a file",
	"services.*.post_start.image":               "only pre_start has it in a file",
	"services.*.post_start.per_replica":         "only pre_start has it in a file",
	"services.*.pre_stop.image":                 "only pre_start has it in a file",
	"services.*.pre_stop.per_replica":           "only pre_start has it in a file",

	"configs.*.driver":          "for swarm: Compose refuses it",
	"configs.*.driver_opts":     "for swarm: Compose refuses it",
	"configs.*.external":        "for swarm: Compose refuses it",
	"configs.*.template_driver": "for swarm: Compose refuses it",
	"secrets.*.driver":          "for swarm: Compose refuses it",
	"secrets.*.driver_opts":     "for swarm: Compose refuses it",
	"secrets.*.external":        "for swarm: Compose refuses it",
	"secrets.*.template_driver": "for swarm: Compose refuses it",
}

// TestCorpus: each attribute that a service, a network, a volume, a config or
// a secret can have is set in some file.
func TestCorpus(t *testing.T) {
	t.Setenv(corpusVariable, "/a value")
	set := map[string]bool{}
	for _, file := range corpus(t) {
		project, err := compose.Load(t.Context(), compose.Options{Files: []string{file}, Profiles: []string{corpusProfile}})
		if err != nil {
			t.Fatal(err)
		}
		for section, values := range map[string]any{
			"services": project.Services, "networks": project.Networks, "volumes": project.Volumes,
			"configs": project.Configs, "secrets": project.Secrets,
		} {
			markSet(reflect.ValueOf(values), section, set)
		}
	}
	known := map[string]bool{}
	listPaths(reflect.TypeFor[types.Services](), "services", known)
	listPaths(reflect.TypeFor[types.Networks](), "networks", known)
	listPaths(reflect.TypeFor[types.Volumes](), "volumes", known)
	listPaths(reflect.TypeFor[types.Configs](), "configs", known)
	listPaths(reflect.TypeFor[types.Secrets](), "secrets", known)
	for _, path := range slices.Sorted(maps.Keys(known)) {
		_, isUncovered := uncovered[path]
		switch {
		case set[path] && isUncovered:
			t.Errorf("%s is set: it can leave the table", path)
		case !set[path] && !isUncovered && !belowUncovered(path):
			t.Errorf("no file sets %s", path)
		}
	}
	for path := range uncovered {
		if !known[path] {
			t.Errorf("there is no %s", path)
		}
	}
}

func belowUncovered(path string) bool {
	for parent := range uncovered {
		if strings.HasPrefix(path, parent+".") {
			return true
		}
	}
	return false
}

// markSet notes the paths of all attributes in v that have a value.
func markSet(v reflect.Value, path string, set map[string]bool) {
	if v.IsZero() {
		return
	}
	set[path] = true
	switch v.Kind() {
	case reflect.Pointer:
		markSet(v.Elem(), path, set)
	case reflect.Slice:
		for i := range v.Len() {
			markSet(v.Index(i), path, set)
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			markSet(v.MapIndex(key), path+".*", set)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if name := attribute(v.Type().Field(i)); name != "" {
				markSet(v.Field(i), path+"."+name, set)
			}
		}
	}
}

// listPaths notes the paths of all attributes of a type. The values of a map
// that have no attributes of their own are none.
func listPaths(of reflect.Type, path string, known map[string]bool) {
	switch of.Kind() {
	case reflect.Pointer, reflect.Slice:
		listPaths(of.Elem(), path, known)
	case reflect.Map:
		listPaths(of.Elem(), path+".*", known)
	case reflect.Struct:
		for field := range of.Fields() {
			if name := attribute(field); name != "" {
				known[path+"."+name] = true
				listPaths(field.Type, path+"."+name, known)
			}
		}
	}
}

// attribute returns the name of a field in a file, "" if it has none.
func attribute(field reflect.StructField) string {
	name, _, _ := strings.Cut(field.Tag.Get("yaml"), ",")
	switch {
	case !field.IsExported(), name == "-", field.Type == reflect.TypeFor[types.Extensions]():
		return ""
	case name == "":
		return strings.ToLower(field.Name)
	}
	return name
}
