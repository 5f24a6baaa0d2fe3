package main

import (
	"context"
	"fmt"
	"io"

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
}

func (p *projectFlags) register(f *pflag.FlagSet) {
	f.StringArrayVarP(&p.files, "file", "f", nil, "compose `file`; may be given several times, - is standard input")
	f.StringVarP(&p.name, "project-name", "p", "", "project `name`")
	f.StringArrayVar(&p.profiles, "profile", nil, "`profile` to enable; may be given several times")
	f.StringArrayVar(&p.envFiles, "env-file", nil, "alternate environment `file`; may be given several times")
	f.StringVar(&p.projectDir, "project-directory", "", "alternate working `directory`")
}

// load loads the project with the services and what they depend on, all where
// none is named.
func (p *projectFlags) load(ctx context.Context, in io.Reader, errOut io.Writer, services []string, noDeps bool) (*types.Project, *compose.Sources, error) {
	sources := &compose.Sources{}
	project, err := compose.Load(ctx, compose.Options{
		Files: p.files, Name: p.name, Profiles: p.profiles, EnvFiles: p.envFiles, ProjectDir: p.projectDir,
		Stdin: in, Services: services, NoDeps: noDeps, Sources: sources,
		Warn: func(line string) { fmt.Fprintf(errOut, "upall: warning: %s\n", line) },
	})
	return project, sources, err
}
