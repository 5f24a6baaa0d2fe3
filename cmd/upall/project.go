package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/spf13/pflag"

	"upall/compose"
)

// projectFlags are Compose's own flags for finding and loading a project.
type projectFlags struct {
	files      []string
	name       string
	profiles   []string
	envFiles   []string
	projectDir string

	agent string // agentAuto and so on

	stdin []byte // what -f - has read, for a command that loads twice
}

func (p *projectFlags) register(f *pflag.FlagSet) {
	f.StringArrayVarP(&p.files, "file", "f", nil, "compose `file`; may be given several times, - is standard input")
	f.StringVarP(&p.name, "project-name", "p", "", "project `name`")
	f.StringArrayVar(&p.profiles, "profile", nil, "`profile` to enable; may be given several times")
	f.StringArrayVar(&p.envFiles, "env-file", nil, "alternate environment `file`; may be given several times")
	f.StringVar(&p.projectDir, "project-directory", "", "alternate working `directory`")
	f.StringVar(&p.agent, "agent", cmp.Or(os.Getenv("UPALL_AGENT"), agentAuto), "`when` a container of the engine supervises containers: auto (upall is not root or the engine not local), always, never")
}

// load loads the project with the services and what they depend on, all where
// none is named.
func (p *projectFlags) load(ctx context.Context, in io.Reader, errOut io.Writer, services []string, noDeps bool) (*types.Project, *compose.Sources, error) {
	return p.loadWith(ctx, in, services, noDeps, func(line string) { fmt.Fprintf(errOut, "upall: warning: %s\n", line) })
}

func (p *projectFlags) loadWith(ctx context.Context, in io.Reader, services []string, noDeps bool, warn func(string)) (*types.Project, *compose.Sources, error) {
	if p.readsStdin() && p.stdin == nil {
		text, err := io.ReadAll(in)
		if err != nil {
			return nil, nil, fmt.Errorf("read the compose file from standard input: %w", err)
		}
		p.stdin = text
	}
	sources := &compose.Sources{}
	project, err := compose.Load(ctx, compose.Options{
		Files: p.files, Name: p.name, Profiles: p.profiles, EnvFiles: p.envFiles, ProjectDir: p.projectDir,
		Stdin: bytes.NewReader(p.stdin), Services: services, NoDeps: noDeps, Sources: sources, Warn: warn,
	})
	return project, sources, err
}

func (p *projectFlags) readsStdin() bool { return slices.Contains(p.files, "-") }

// isByName tells whether the command line and the environment name the project
// and no file: Compose then looks for its containers alone.
func (p *projectFlags) isByName(getenv func(string) string) bool {
	return len(p.files) == 0 && getenv("COMPOSE_FILE") == "" && (p.name != "" || getenv("COMPOSE_PROJECT_NAME") != "")
}

// args are the flags as Compose takes them.
func (p *projectFlags) args() []string {
	args := p.argsBesideFiles()
	for _, file := range p.files {
		args = append(args, "--file", file)
	}
	if p.name != "" {
		args = append(args, "--project-name", p.name)
	}
	if p.projectDir != "" {
		args = append(args, "--project-directory", p.projectDir)
	}
	return args
}

// argsBesideFiles are the flags that hold for any files.
func (p *projectFlags) argsBesideFiles() []string {
	var args []string
	for _, profile := range p.profiles {
		args = append(args, "--profile", profile)
	}
	for _, file := range p.envFiles {
		args = append(args, "--env-file", file)
	}
	return args
}
