package compose

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// Why a key has no effect on a process.
const (
	needsContainer = "needs a container; ignored by the process runtime"
	needsImage     = "has no test, and an image's own is not known without a container; ignored by the process runtime"
)

// warnings collects, per key, the services on whose processes it has no effect.
type warnings struct {
	services map[string][]string
}

// collect notes the keys of a service that a process cannot honour.
func (w *warnings) collect(config types.ServiceConfig, runtime Runtime) {
	if runtime != Process {
		return
	}
	if w.services == nil {
		w.services = map[string][]string{}
	}
	for _, key := range ignoredKeys(config) {
		w.services[key] = append(w.services[key], config.Name)
	}
}

// lines returns one line per key, sorted by key, naming all its services.
func (w *warnings) lines() []string {
	var lines []string
	for _, key := range slices.Sorted(maps.Keys(w.services)) {
		var paths []string
		for _, service := range w.services[key] {
			paths = append(paths, "services."+service+"."+key)
		}
		reason := needsContainer
		if key == "healthcheck" {
			reason = needsImage
		}
		lines = append(lines, fmt.Sprintf("%s: %s", strings.Join(paths, ", "), reason))
	}
	return lines
}

// honoured lists the keys that a process honours, or that mean nothing that a
// process could lack (labels, annotations, init, profiles).
func honoured() []string {
	return []string{
		"annotations", "attach", "command", "container_name", "depends_on", "entrypoint", "env_file", "environment",
		"expose", "extends", "extra_hosts", "hostname", "init", "label_file", "labels", "links", "name", "ports",
		"profiles", "restart", "scale", "stop_grace_period", "stop_signal", "user", "working_dir",
	}
}

// ignoredKeys returns the keys that the file sets and a process does not
// honour. It asks compose-go's own types for the keys, so that one which a
// newer specification adds is reported and not silently dropped.
func ignoredKeys(config types.ServiceConfig) []string {
	set := map[string]bool{}
	setKeys(reflect.ValueOf(config), set)
	for _, key := range honoured() {
		delete(set, key)
	}
	if onlyDefaultNetwork(config) {
		delete(set, "networks")
	}
	if h := config.HealthCheck; h != nil && (isDisabled(h) || len(h.Test) > 0) {
		delete(set, "healthcheck")
	}
	delete(set, "deploy")
	for _, key := range ignoredDeployKeys(config.Deploy) {
		set["deploy."+key] = true
	}
	return slices.Sorted(maps.Keys(set))
}

// setKeys notes the YAML keys of the struct's fields that are not zero.
func setKeys(v reflect.Value, set map[string]bool) {
	for i := range v.NumField() {
		field, value := v.Type().Field(i), v.Field(i)
		key, options, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		switch {
		case field.Anonymous && value.Kind() == reflect.Struct:
			setKeys(value, set)
		case key == "-" || strings.Contains(options, "inline"):
		case value.IsZero(), (value.Kind() == reflect.Map || value.Kind() == reflect.Slice) && value.Len() == 0:
		default:
			set[key] = true
		}
	}
}

// onlyDefaultNetwork: compose-go adds the default network to every service
// that names none.
func onlyDefaultNetwork(config types.ServiceConfig) bool {
	network, ok := config.Networks["default"]
	return ok && network == nil && len(config.Networks) == 1
}

// ignoredDeployKeys: of deploy, replicas and restart_policy are honoured.
func ignoredDeployKeys(deploy *types.DeployConfig) []string {
	if deploy == nil {
		return nil
	}
	set := map[string]bool{}
	setKeys(reflect.ValueOf(*deploy), set)
	for _, key := range []string{"labels", "replicas", "restart_policy"} {
		delete(set, key)
	}
	return slices.Sorted(maps.Keys(set))
}
