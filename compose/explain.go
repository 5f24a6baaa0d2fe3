package compose

import (
	"errors"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// explain turns any error of compose-go into a FieldError of one line that
// names the file and the key as far as they can be found. compose-go's errors
// are mostly plain text, so this reads the text; a text that is not known comes
// out whole.
func (s *Sources) explain(err error) error {
	var field *FieldError
	if errors.As(err, &field) {
		return s.locate(field, "")
	}
	text := err.Error()
	for _, reader := range []func(string) *FieldError{
		s.explainInterpolation, s.explainSchema, s.explainParse, s.explainDecode, s.explainPorts, s.explainCycle, s.explainService, s.explainPanic, explainPath,
	} {
		if field := reader(text); field != nil {
			field.Err = err
			return s.locate(field, "")
		}
	}
	if field := s.explainFile(err); field != nil {
		return field
	}
	field = &FieldError{Reason: oneLine(strings.TrimSuffix(text, ": invalid compose project")), Err: err}
	if len(s.files) > 0 {
		field.File = s.files[0].name
	}
	return field
}

// explainInterpolation reads the interpolation errors, one or several joined
// by newlines; the first stands for all.
func (s *Sources) explainInterpolation(text string) *FieldError {
	format := regexp.MustCompile(`^invalid interpolation format for (\S+)\.\nYou may need to escape any \$ with another \$\.\n(.*)`)
	if m := format.FindStringSubmatch(text); m != nil {
		return s.locate(fieldErrorf(m[1], "invalid interpolation format %q (write $$ for a literal $)", m[2]), m[2])
	}
	value := regexp.MustCompile(`^error while interpolating (\S+): (.*)`)
	m := value.FindStringSubmatch(text)
	if m == nil {
		return nil
	}
	reason, hint := strings.TrimPrefix(m[2], "failed to cast to expected type: "), "$"
	if required := regexp.MustCompile(`^required variable (\S+)`).FindStringSubmatch(reason); required != nil {
		hint = required[1]
	}
	if number := regexp.MustCompile(`^strconv\.\w+: parsing (".*"): .*`).FindStringSubmatch(reason); number != nil {
		reason = number[1] + " is not a number"
	}
	return s.locate(fieldErrorf(m[1], "%s", reason), hint)
}

// explainSchema reads "validating FILE: KEY.PATH what is wrong".
func (s *Sources) explainSchema(text string) *FieldError {
	m := regexp.MustCompile(`^validating (.+?): (\S*) (.*)$`).FindStringSubmatch(text)
	if m == nil {
		return nil
	}
	e := &FieldError{File: s.display(m[1]), Path: m[2], Reason: m[3]}
	if extra := regexp.MustCompile(`^additional properties '(.+?)'(?:, .*)? not allowed$`).FindStringSubmatch(m[3]); extra != nil {
		e.Path, e.Reason = strings.TrimPrefix(e.Path+"."+extra[1], "."), "unknown key"
		if e.Path == "services."+extra[1] {
			e.Reason = "not a name for a service (letters, digits, '.', '_' and '-')"
		}
	}
	if e.Reason == "false schema" {
		e.Reason = "unknown key"
	}
	return e
}

// explainParse reads "failed to parse FILE: yaml: ...".
func (s *Sources) explainParse(text string) *FieldError {
	m := regexp.MustCompile(`(?s)^failed to parse (.+?): (.*)$`).FindStringSubmatch(text)
	if m == nil {
		return nil
	}
	reason, line := yamlReason(m[2])
	return &FieldError{File: s.display(m[1]), Line: line, Reason: reason}
}

// explainDecode reads the decoder's list of errors: 'services[web].user' why.
func (s *Sources) explainDecode(text string) *FieldError {
	m := regexp.MustCompile(`^decoding failed due to the following error\(s\):\s+'([^']+)' (.*)`).FindStringSubmatch(text)
	if m == nil {
		return nil
	}
	path := regexp.MustCompile(`\[([^\]]*[^\]0-9][^\]]*)\]`).ReplaceAllString(m[1], ".$1")
	return fieldErrorf(path, "%s", strings.TrimPrefix(m[2], "time: "))
}

// explainPorts finds the entry of ports that does not parse: that error names
// no service.
func (s *Sources) explainPorts(text string) *FieldError {
	found := s.findValue(func(path, value string) bool {
		if !regexp.MustCompile(`^services\..+\.ports\[\d+\]$`).MatchString(path) {
			return false
		}
		_, err := types.ParsePortConfig(value)
		return err != nil && err.Error() == text
	})
	if found != nil {
		found.Reason = strings.ToLower(text[:1]) + text[1:]
	}
	return found
}

// explainCycle reads "dependency cycle detected: a -> b -> a" and the like for
// extends and include.
func (s *Sources) explainCycle(text string) *FieldError {
	if m := regexp.MustCompile(`^dependency cycle detected: (\S+) -> (\S+)`).FindStringSubmatch(text); m != nil {
		return fieldErrorf("services."+m[1]+".depends_on."+m[2], "%s", text)
	}
	if files, ok := strings.CutPrefix(text, "include cycle detected:"); ok {
		return fieldErrorf("include", "cycle: %s", s.shorten(oneLine(files)))
	}
	if m := regexp.MustCompile(`^Circular reference:\s+(\S+) in`).FindStringSubmatch(text); m != nil {
		return fieldErrorf("services."+m[1]+".extends", "circular reference: %s", s.shorten(oneLine(strings.TrimPrefix(text, "Circular reference:"))))
	}
	return nil
}

// explainService reads the sentences about one service.
func (s *Sources) explainService(text string) *FieldError {
	text = strings.TrimSuffix(text, ": invalid compose project")
	keys := []struct{ pattern, key string }{
		{`^service "(.+?)" refers to undefined (network|volume|config|secret|model) (.+)$`, "${2}s.$3"},
		{`^service "(.+?)" depends on undefined service "(.+?)"$`, "depends_on.$2"},
		{`^service "(.+?)" cannot depend on job "(.+?)"`, "depends_on.$2"},
		{`^service (\S+) declares mutually exclusive .network_mode. and .networks.$`, "network_mode"},
		{`^cannot extend service "(.+?)" in (?:.+?): service ".+"`, "extends"},
		{`^cannot extend service "(.+?)" `, "extends"},
		{`^service "(.+?)" `, ""},
	}
	for _, k := range keys {
		pattern := regexp.MustCompile(k.pattern)
		m := pattern.FindStringSubmatchIndex(text)
		if m == nil {
			continue
		}
		path := "services." + text[m[2]:m[3]]
		if k.key != "" {
			path += "." + string(pattern.ExpandString(nil, k.key, text, m))
		}
		return fieldErrorf(s.impliedKey(path), "%s", s.shorten(text))
	}
	if strings.HasPrefix(text, "healthcheck.test ") {
		e := s.findValue(func(path, value string) bool {
			return strings.HasSuffix(path, ".healthcheck.test[0]") && value != "CMD" && value != "CMD-SHELL" && value != "NONE"
		})
		if e != nil {
			e.Path, e.Reason = strings.TrimSuffix(e.Path, "[0]"), strings.TrimPrefix(text, "healthcheck.test ")
		}
		return e
	}
	return nil
}

// impliedKey finds the key that implies a dependency which depends_on does not
// name: links, network_mode and the like.
func (s *Sources) impliedKey(path string) string {
	service, target, ok := strings.Cut(path, ".depends_on.")
	if !ok {
		return path
	}
	implied := s.findValue(func(at, value string) bool {
		rest, ok := strings.CutPrefix(at, service+".")
		if !ok {
			return false
		}
		key, _, _ := strings.Cut(rest, "[")
		name, _, _ := strings.Cut(strings.TrimPrefix(value, types.ServicePrefix), ":")
		switch key {
		case "links", "volumes_from", "network_mode", "ipc", "pid", "uts", "cgroup":
			return name == target
		}
		return false
	})
	if implied == nil {
		return path
	}
	return implied.Path
}

// explainPanic finds what made compose-go panic.
func (s *Sources) explainPanic(text string) *FieldError {
	if !strings.HasPrefix(text, panicked) {
		return nil
	}
	found := s.findValue(func(path, value string) bool {
		return value != "" && regexp.MustCompile(`^(?:networks|volumes|configs|secrets|models)\.[^.\[]+(?:\[\d+\])?$`).MatchString(path)
	})
	if found != nil {
		found.Path, _, _ = strings.Cut(found.Path, "[")
		found.Reason = "must be a mapping"
	}
	return found
}

// shorten shows the known files in a text as the user knows them.
func (s *Sources) shorten(text string) string {
	for _, f := range s.files {
		text = strings.ReplaceAll(text, f.path, f.name)
	}
	return text
}

// explainPath reads the texts that start with a key path.
func explainPath(text string) *FieldError {
	text = strings.TrimSuffix(oneLine(text), ": invalid compose project")
	text = strings.TrimPrefix(text, "service volume ")
	// compose-go has the attribute and the service in each other's place.
	if m := regexp.MustCompile(`^services\.(scale|deploy\.replicas): can't set container_name and (\S+) as `).FindStringSubmatch(text); m != nil {
		return fieldErrorf("services."+m[2]+".container_name", "cannot be set together with %s above 1, for it must be unique", m[1])
	}
	if m := regexp.MustCompile(`^non-string key (?:at top level|in (\S+)): (.*)$`).FindStringSubmatch(text); m != nil {
		return fieldErrorf(m[1], "the key %s is not a string (quote it)", m[2])
	}
	m := regexp.MustCompile(`^((?:services|networks|volumes|configs|secrets|models|include)(?:\.[^\s:]+)?):? (.*)$`).FindStringSubmatch(text)
	if m == nil {
		return nil
	}
	return fieldErrorf(m[1], "%s", m[2])
}

// explainFile names the key that refers to a file which cannot be read.
func (s *Sources) explainFile(err error) *FieldError {
	path := ""
	var cause *fs.PathError
	switch m := regexp.MustCompile(`^(?:couldn't find env file: |failed to read )(.+?)(?:: |$)`).FindStringSubmatch(err.Error()); {
	case errors.As(err, &cause):
		path = cause.Path
	case m != nil:
		path = m[1]
	default:
		return nil
	}
	reason := err.Error()
	if cause != nil {
		reason = cause.Err.Error()
	} else {
		reason = strings.TrimPrefix(strings.TrimPrefix(reason, "failed to read "+path+": "), "couldn't find env file: "+path)
	}
	if reason == "" {
		reason = "no such file or directory"
	}
	if strings.Contains(err.Error(), "set by COMPOSE_FILE") {
		return &FieldError{File: s.display(path), Reason: reason + " (named by COMPOSE_FILE)", Err: err}
	}
	e := s.findValue(func(at, value string) bool {
		value = filepath.Clean(value)
		return fileKey(at) && (value == path || strings.HasSuffix(path, "/"+strings.TrimLeft(value, "./")))
	})
	if e == nil {
		return &FieldError{File: s.display(path), Reason: reason, Err: err}
	}
	e.Reason, e.Err = s.display(path)+": "+reason, err
	return e
}

// fileKey reports whether a key holds the path of a file that loading reads.
func fileKey(path string) bool {
	return strings.HasPrefix(path, "include") || regexp.MustCompile(`\.(?:extends\.file|(?:env_file|label_file)(?:\[\d+\])?(?:\.path)?)$`).MatchString(path)
}
