package engine

import (
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"upall/compose"
)

// handedOn is a project after it was written and read.
func handedOn(t *testing.T, project *types.Project) *types.Project {
	t.Helper()
	text, err := MarshalProject(project)
	if err != nil {
		t.Fatal(err)
	}
	got, err := UnmarshalProject(t.Context(), text, project.WorkingDir, project.Environment, project.Name)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return got
}

// A project of the corpus comes back as it was.
func TestMarshalProject(t *testing.T) {
	t.Setenv(corpusVariable, "/a value")
	for _, file := range corpus(t) {
		t.Run(corpusName(file), func(t *testing.T) {
			project, err := compose.Load(t.Context(), compose.Options{Files: []string{file}, Name: "p", Profiles: []string{corpusProfile}})
			if err != nil {
				t.Fatal(err)
			}
			got := handedOn(t, project)
			diff := cmp.Diff(withContents(project), got,
				// None and empty are the same but for an entrypoint and a command, which
				// are of interest at the creation only.
				cmpopts.EquateEmpty(),
				cmpopts.IgnoreFields(types.Project{}, "Environment", "ComposeFiles", "Profiles", "DisabledServices"),
				cmpopts.IgnoreUnexported(types.SecretConfig{}, types.ConfigObjConfig{}))
			if diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Texts that mean something in YAML or in a compose file come back as they were,
// but for keys of maps that begin with x-, which Compose itself loses.
func TestMarshalProjectTexts(t *testing.T) {
	t.Parallel()
	texts := types.Labels{}
	for _, text := range []string{
		"", " ", "a", "$", "$$", "${HOME}", "$${HOME:-x}", "yes", "null", "~", "1e3", "0x10", "0755", "1_000", "12:30", "2001-01-01", ".inf",
		"<<", "*a", "&a b", "!reset null", "!!binary x", "@", "`", "%", "? a", "- a", "a: b", "a #b", "{a}", "[a", "'", `"`, `\n`, "a\nb", "a\n", "\na",
		" a ", "\ta", "a\t", "a\r\nb", "\x01\x1b[0m", "\u2028", "é", "\U0001F600", "---", "...", "=",
	} {
		texts[text] = text
		texts["key"+text] = text
	}
	env, pointers := types.MappingWithEquals{"UNSET": nil}, func(s string) *string { return &s }
	var command types.ShellCommand
	for key, value := range texts {
		env[key] = pointers(value)
		command = append(command, value)
	}
	service := types.ServiceConfig{
		Name: "s", Image: "i", Labels: texts, Annotations: types.Mapping(texts), Environment: env, Command: command, Entrypoint: command,
		PreStart:   []types.ServiceHook{{Command: command, Environment: env}},
		PostStart:  []types.ServiceHook{{Command: command, Environment: env}},
		PreStop:    []types.ServiceHook{{Command: command, Environment: env}},
		Profiles:   []string{"a"},
		Extensions: types.Extensions{"x-upall": map[string]any{"hold": "none"}},
	}
	project := &types.Project{
		Name: "p", WorkingDir: "/w", Services: types.Services{"s": service},
		Environment: types.Mapping{"SET": "$a\n", "EMPTY": ""},
		Configs:     types.Configs{}, Secrets: types.Secrets{},
	}
	for key, text := range texts {
		project.Configs["c"+key] = types.ConfigObjConfig{Name: "c", Content: text}
		project.Secrets["s"+key] = types.SecretConfig{Name: "s", Content: text}
	}
	for _, name := range []string{"SET", "EMPTY", "UNSET"} {
		project.Configs[name] = types.ConfigObjConfig{Environment: name}
		project.Secrets[name] = types.SecretConfig{Environment: name}
	}
	want := *withContents(project)
	if c := want.Configs["SET"]; c.Content != "$a\n" || c.Environment != "" {
		t.Errorf("a config of a variable became %+v", c)
	}
	got := handedOn(t, project)
	if diff := cmp.Diff(&want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(types.Project{}, "Profiles", "Environment"),
		cmpopts.IgnoreUnexported(types.SecretConfig{}, types.ConfigObjConfig{})); diff != "" {
		t.Error(diff)
	}
}
