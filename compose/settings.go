package compose

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
)

// extension is the key of upall's own settings in a compose file.
const extension = "x-upall"

// DefaultHoldTimeout is how long a connect is held at most, unless
// x-upall.hold_timeout or --hold-timeout says otherwise.
const DefaultHoldTimeout = 60 * time.Second

// settings is what one x-upall mapping sets; zero values are not set.
type settings struct {
	runtime     Runtime
	holdTimeout time.Duration
	hold        Hold
	ready       Ready
	ioURing     string // "allow" or "deny"
	gates       map[string]GateKind
}

// serviceSettings reads the service's x-upall over the project's.
func serviceSettings(project *types.Project, service types.ServiceConfig) (settings, error) {
	common, err := parseSettings(extension, project.Extensions[extension], project)
	if err != nil {
		return settings{}, err
	}
	path := "services." + service.Name + "." + extension
	own, err := parseSettings(path, service.Extensions[extension], project)
	if err != nil {
		return settings{}, err
	}
	for _, name := range slices.Sorted(maps.Keys(own.gates)) {
		_, depends := service.DependsOn[name]
		_, enabled := project.Services[name]
		if enabled && !depends && !selectedAway(project) {
			return settings{}, fieldErrorf(path+".gates."+name, "service %q has no depends_on %q", service.Name, name)
		}
	}
	return own.over(common), nil
}

// selectedAway reports whether services are missing from the project, by
// profile or by selection; then depends_on may have lost entries too.
func selectedAway(project *types.Project) bool { return len(project.DisabledServices) > 0 }

// over fills what s does not set from under.
func (s settings) over(under settings) settings {
	if s.runtime == "" {
		s.runtime = under.runtime
	}
	if s.holdTimeout == 0 {
		s.holdTimeout = under.holdTimeout
	}
	if s.hold == "" {
		s.hold = under.hold
	}
	if s.ready == "" {
		s.ready = under.ready
	}
	if s.ioURing == "" {
		s.ioURing = under.ioURing
	}
	gates := maps.Clone(under.gates)
	if gates == nil {
		gates = map[string]GateKind{}
	}
	maps.Copy(gates, s.gates)
	s.gates = gates
	return s
}

// resolve fills in the defaults; timeout, if not zero, wins over the files.
func (s settings) resolve(timeout time.Duration) Settings {
	r := Settings{HoldTimeout: s.holdTimeout, Hold: s.hold, Ready: s.ready, AllowIOURing: s.ioURing == "allow"}
	if timeout != 0 {
		r.HoldTimeout = timeout
	}
	if r.HoldTimeout == 0 {
		r.HoldTimeout = DefaultHoldTimeout
	}
	if r.Hold == "" {
		r.Hold = HoldPeers
	}
	if r.Ready == "" {
		r.Ready = ReadyHealthy
	}
	return r
}

// parseSettings reads one x-upall mapping; every key and value must be known.
func parseSettings(path string, value any, project *types.Project) (settings, error) {
	var s settings
	if value == nil {
		return s, nil
	}
	mapping, ok := value.(map[string]any)
	if !ok {
		return s, fieldErrorf(path, "must be a mapping of %s", strings.Join(settingKeys(), ", "))
	}
	err := firstByName(maps.Keys(mapping), func(key string) error {
		return s.set(path+"."+key, key, mapping[key], project)
	})
	return s, err
}

func settingKeys() []string {
	return []string{"gates", "hold", "hold_timeout", "io_uring", "ready", "runtime"}
}

func (s *settings) set(path, key string, value any, project *types.Project) (err error) {
	switch key {
	case "runtime":
		s.runtime, err = oneOf(path, value, Engine, Process)
	case "hold":
		s.hold, err = oneOf(path, value, HoldPeers, HoldLoopback, HoldNone)
	case "ready":
		s.ready, err = oneOf(path, value, ReadyHealthy, ReadyListen)
	case "io_uring":
		s.ioURing, err = oneOf(path, value, "allow", "deny")
	case "hold_timeout":
		s.holdTimeout, err = duration(path, value)
	case "gates":
		s.gates, err = parseGates(path, value, project)
	default:
		return fieldErrorf(path, "unknown key (known: %s)", strings.Join(settingKeys(), ", "))
	}
	return err
}

func parseGates(path string, value any, project *types.Project) (map[string]GateKind, error) {
	mapping, ok := value.(map[string]any)
	if !ok {
		return nil, fieldErrorf(path, "must be a mapping from a service to connect, start or none")
	}
	gates := map[string]GateKind{}
	err := firstByName(maps.Keys(mapping), func(name string) error {
		known := project.AllServices()
		if _, ok := known[name]; !ok {
			return fieldErrorf(path+"."+name, "unknown service (known: %s)", strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		}
		kind, err := oneOf(path+"."+name, mapping[name], GateConnect, GateStart, GateNone)
		gates[name] = kind
		return err
	})
	return gates, err
}

// oneOf accepts the listed words only.
func oneOf[T ~string](path string, value any, allowed ...T) (T, error) {
	text, ok := value.(string)
	if ok && slices.Contains(allowed, T(text)) {
		return T(text), nil
	}
	words := make([]string, len(allowed))
	for i, word := range allowed {
		words[i] = string(word)
	}
	return "", fieldErrorf(path, "%s is not allowed (allowed: %s)", show(value), strings.Join(words, ", "))
}

func duration(path string, value any) (time.Duration, error) {
	text, ok := value.(string)
	if !ok {
		return 0, fieldErrorf(path, "%s is not a duration (write it as 90s or 1m30s)", show(value))
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fieldErrorf(path, "%q is not a duration (write it as 90s or 1m30s)", text)
	}
	if d <= 0 {
		return 0, fieldErrorf(path, "%q is not longer than nothing (hold: none switches holding off)", text)
	}
	return d, nil
}

// show prints a value of a YAML file in a message.
func show(value any) string {
	switch v := value.(type) {
	case nil:
		return "an empty value"
	case string:
		return fmt.Sprintf("%q", v)
	case map[string]any:
		return "a mapping"
	case []any:
		return "a list"
	}
	return fmt.Sprint(value)
}

// firstByName calls f for each name in order and returns the first error.
func firstByName(names iter.Seq[string], f func(name string) error) error {
	for _, name := range slices.Sorted(names) {
		if err := f(name); err != nil {
			return err
		}
	}
	return nil
}
