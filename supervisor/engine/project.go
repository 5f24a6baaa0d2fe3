package engine

import (
	"context"
	"fmt"
	"maps"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v4"
)

// MarshalProject writes a loaded project as a compose file in which nothing is
// left to find out: variables, paths, env files and secrets are resolved. It has
// the content of secrets, so it is not for other people's eyes. Services whose
// profile is not active are left out.
func MarshalProject(project *types.Project) (string, error) {
	text, err := withContents(project).MarshalYAML(types.WithSecretContent)
	if err != nil {
		return "", fmt.Errorf("write project %q: %w", project.Name, err)
	}
	return string(text), nil
}

// withContents replaces the variables that configs and secrets are read from by
// their content, for the process that reads the project has others. One that is
// not set stays: Compose says so when it is needed.
func withContents(project *types.Project) *types.Project {
	copied := *project
	copied.Configs, copied.Secrets = maps.Clone(project.Configs), maps.Clone(project.Secrets)
	for key, c := range copied.Configs {
		resolve((*types.FileObjectConfig)(&c), project.Environment)
		copied.Configs[key] = c
	}
	for key, s := range copied.Secrets {
		resolve((*types.FileObjectConfig)(&s), project.Environment)
		copied.Secrets[key] = s
	}
	return &copied
}

func resolve(o *types.FileObjectConfig, env types.Mapping) {
	if value, ok := env[o.Environment]; ok && o.Environment != "" {
		o.Content, o.Environment = value, ""
	}
}

// UnmarshalProject reads what MarshalProject has written. The working directory,
// the project's environment and its name are not in the text. What is in it
// is taken as it is: no variable is replaced and no file is read. All of its
// services are active.
func UnmarshalProject(ctx context.Context, text, workingDir string, env map[string]string, name string) (*types.Project, error) {
	var config map[string]any
	if err := yaml.Unmarshal([]byte(text), &config); err != nil {
		return nil, fmt.Errorf("parse project %q: %w", name, err)
	}
	details := types.ConfigDetails{
		WorkingDir:  workingDir,
		ConfigFiles: []types.ConfigFile{{Filename: "project", Config: config}},
		Environment: maps.Clone(env),
	}
	project, err := loader.LoadWithContext(ctx, details, func(o *loader.Options) {
		o.SetProjectName(name, true)
		o.Profiles = []string{"*"}
		o.SkipValidation, o.SkipInterpolation, o.SkipNormalization, o.SkipConsistencyCheck = true, true, true, true
		o.SkipExtends, o.SkipInclude = true, true
		o.SkipResolveEnvironment, o.SkipResolveLabels, o.ResolvePaths = true, true, false
	})
	if err != nil {
		return nil, fmt.Errorf("read project %q: %w", name, err)
	}
	return project, nil
}
