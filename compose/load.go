package compose

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/consts"
	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
)

// Options say which project to load. The zero value loads the compose file of
// the current directory or its nearest parent that has one.
type Options struct {
	Files       []string // -f, in the order of merging; "-" is Stdin
	Name        string   // -p
	Profiles    []string // --profile
	EnvFiles    []string // --env-file
	ProjectDir  string   // --project-directory
	Environment []string // KEY=value; nil = the process's own environment
	Stdin       io.Reader

	Services []string // load these and what they depend on; empty = all
	NoDeps   bool     // of Services: without what they depend on

	Sources *Sources          // filled for later errors, if not nil
	Warn    func(line string) // called for what a user should know; may be nil
}

// Load reads, merges and checks a project as Docker Compose does, except that
// a service needs neither image nor build. Errors about the input are
// *FieldError.
func Load(ctx context.Context, o Options) (*types.Project, error) {
	return load(ctx, o)
}

// load is Load with more options for compose-go's loader.
func load(ctx context.Context, o Options, more ...func(*loader.Options)) (*types.Project, error) {
	cwd, err := os.Getwd()
	if err != nil {
		return nil, fmt.Errorf("find the current directory: %w", err)
	}
	sources := o.Sources
	if sources == nil {
		sources = &Sources{}
	}
	*sources = Sources{cwd: cwd}

	project, err := o.loadProject(ctx, sources, more)
	if err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("load project: %w", ctx.Err())
		}
		return nil, sources.explain(err)
	}
	return project, nil
}

func (o Options) loadProject(ctx context.Context, sources *Sources, more []func(*loader.Options)) (*types.Project, error) {
	options, err := o.projectOptions()
	if err != nil {
		return nil, err
	}
	if len(options.ConfigPaths) == 0 {
		return nil, notFound(options)
	}
	details, err := o.readFiles(ctx, options, sources)
	if err != nil {
		return nil, err
	}
	sources.addReferred(details.WorkingDir)

	loadOptions := append([]func(*loader.Options){
		loader.WithProfiles(o.profiles(options)),
		o.setName(options, details),
		o.setSubstitute,
		func(l *loader.Options) {
			// Done after the selection, so that the files of services that
			// are not selected need not exist.
			l.SkipResolveEnvironment, l.SkipResolveLabels = true, true
		},
	}, more...)
	project, err := modelToProject(ctx, *details, loadOptions)
	if err != nil {
		return nil, err
	}
	if err := checkSettings(project); err != nil {
		return nil, err
	}
	return o.selectServices(project, more)
}

// projectOptions finds the files and the environment, in the order in which
// docker compose does.
func (o Options) projectOptions() (*cli.ProjectOptions, error) {
	env := o.Environment
	if env == nil {
		env = os.Environ()
	}
	envFiles := o.EnvFiles
	if list := lookup(env, "COMPOSE_ENV_FILES"); len(envFiles) == 0 && list != "" {
		envFiles = strings.Split(list, ",")
	}
	dotEnv := []cli.ProjectOptionsFn{cli.WithEnvFiles(envFiles...), cli.WithDotEnv}
	if value := lookup(env, consts.ComposeDisableDefaultEnvFile); value != "" && len(envFiles) == 0 {
		disabled, err := strconv.ParseBool(value)
		if err != nil {
			return nil, fieldErrorf("", "%s: %q is neither true nor false", consts.ComposeDisableDefaultEnvFile, value)
		}
		if disabled {
			dotEnv = nil
		}
	}
	fns := []cli.ProjectOptionsFn{cli.WithWorkingDirectory(o.ProjectDir), cli.WithEnv(env)}
	fns = append(fns, dotEnv...)
	fns = append(fns, cli.WithConfigFileEnv, cli.WithDefaultConfigPath)
	// Once more: the directory of the file that was found may have a .env too.
	fns = append(fns, dotEnv...)
	fns = append(fns, cli.WithName(o.Name))
	return cli.NewProjectOptions(slices.Clone(o.Files), fns...)
}

// lookup returns the last value of a key among KEY=value, or "".
func lookup(env []string, key string) string {
	value := ""
	for _, pair := range env {
		if k, v, ok := strings.Cut(pair, "="); ok && k == key {
			value = v
		}
	}
	return value
}

// notFound is the error for no compose file at all.
func notFound(options *cli.ProjectOptions) error {
	dir, err := options.GetWorkingDir()
	if err != nil {
		return fmt.Errorf("find the working directory: %w", err)
	}
	return fieldErrorf("", "no compose file found: looked for %s in %s and its parents (name one with -f)",
		strings.Join(cli.DefaultFileNames, ", "), dir)
}

// readFiles reads the compose files and keeps them in sources.
func (o Options) readFiles(ctx context.Context, options *cli.ProjectOptions, sources *Sources) (*types.ConfigDetails, error) {
	dir, err := options.GetWorkingDir()
	if err != nil {
		return nil, fmt.Errorf("find the working directory: %w", err)
	}
	details, err := loader.LoadConfigFiles(ctx, options.ConfigPaths, dir)
	if err != nil {
		return nil, err
	}
	details.Environment = options.Environment
	for i := range details.ConfigFiles {
		file := &details.ConfigFiles[i]
		file.Content, err = o.readFile(file.Filename)
		if err != nil {
			return nil, &FieldError{File: sources.display(file.Filename), Reason: ioReason(err), Err: err}
		}
		if err := sources.add(file.Filename, file.Content); err != nil {
			return nil, err
		}
	}
	return details, nil
}

func (o Options) readFile(path string) ([]byte, error) {
	if path != "-" {
		return os.ReadFile(path)
	}
	if o.Stdin == nil {
		return nil, errors.New("there is no standard input to read")
	}
	return io.ReadAll(o.Stdin)
}

// ioReason says an error of the file system without repeating the path.
func ioReason(err error) string {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	return err.Error()
}

// profiles returns --profile, else COMPOSE_PROFILES.
func (o Options) profiles(options *cli.ProjectOptions) []string {
	if len(o.Profiles) > 0 {
		return o.Profiles
	}
	var profiles []string
	for name := range strings.SplitSeq(options.Environment[consts.ComposeProfiles], ",") {
		if name = strings.TrimSpace(name); name != "" {
			profiles = append(profiles, name)
		}
	}
	return profiles
}

// setName sets the project's name: -p, COMPOSE_PROJECT_NAME, "name:" of the
// files (which the loader reads), the project directory's.
func (o Options) setName(options *cli.ProjectOptions, details *types.ConfigDetails) func(*loader.Options) {
	name, explicit := options.Name, true
	if name == "" {
		name = options.Environment[consts.ComposeProjectName]
	}
	if name == "" {
		// The loader prefers a "name:" of the files to one that is not explicit.
		name, explicit = loader.NormalizeProjectName(filepath.Base(details.WorkingDir)), false
	}
	return func(l *loader.Options) { l.SetProjectName(name, explicit) }
}

// selectServices keeps the services asked for, as "docker compose up SERVICE"
// does, and reads their env and label files.
func (o Options) selectServices(project *types.Project, more []func(*loader.Options)) (*types.Project, error) {
	var err error
	if len(o.Services) > 0 {
		known := slices.Sorted(maps.Keys(project.AllServices()))
		if project, err = project.WithServicesEnabled(o.Services...); err != nil {
			return nil, err
		}
		policy := types.IncludeDependencies
		if o.NoDeps {
			policy = types.IgnoreDependencies
		}
		if project, err = project.WithSelectedServices(o.Services, policy); err != nil {
			return nil, &FieldError{Reason: fmt.Sprintf("%v (services: %s)", err, strings.Join(known, ", ")), Err: err}
		}
		project = project.WithoutUnnecessaryResources()
	}
	project = project.WithoutUnresolvedOptionalDependencies()
	if len(more) > 0 { // a test reads no other files
		return project, nil
	}
	if project, err = project.WithServicesEnvironmentResolved(false); err != nil {
		return nil, err
	}
	return project.WithServicesLabelsResolved(false)
}
