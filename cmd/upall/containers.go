package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// containersOnly returns a copy of the project without some services, and without
// what the others say of them.
func containersOnly(project *types.Project, without map[string]bool) *types.Project {
	rest := *project
	rest.Services = types.Services{}
	for name, service := range project.Services {
		if without[name] {
			continue
		}
		service.DependsOn = maps.Clone(service.DependsOn)
		maps.DeleteFunc(service.DependsOn, func(name string, _ types.ServiceDependency) bool { return without[name] })
		service.Links = slices.DeleteFunc(slices.Clone(service.Links), func(link string) bool {
			name, _, _ := strings.Cut(link, ":")
			return without[name]
		})
		rest.Services[name] = service
	}
	return &rest
}

// withExternal returns a copy of the project in which networks of these names
// are there already. Compose then takes them as they are, where it would
// replace one that upall has given addresses, with all that is connected to it.
func withExternal(project *types.Project, names []string) *types.Project {
	rest := *project
	rest.Networks = maps.Clone(project.Networks)
	for key, network := range rest.Networks {
		if slices.Contains(names, network.Name) {
			rest.Networks[key] = types.NetworkConfig{Name: network.Name, External: true}
		}
	}
	return &rest
}

// writeProject writes the project to a file that has no name any more: it is gone
// with this process, however that ends.
func writeProject(project *types.Project) (*os.File, error) {
	text, err := project.MarshalYAML()
	if err != nil {
		return nil, fmt.Errorf("write the project's services for Compose: %w", err)
	}
	file, err := os.CreateTemp("", "upall-*.yaml")
	if err != nil {
		return nil, fmt.Errorf("write the project's services for Compose: %w", err)
	}
	// All variables are replaced already: what is left is meant as it is.
	_, err = file.Write(bytes.ReplaceAll(text, []byte("$"), []byte("$$")))
	if err = errors.Join(err, os.Remove(file.Name())); err != nil {
		return nil, fmt.Errorf("write the project's services for Compose: %w", errors.Join(err, file.Close()))
	}
	return file, nil
}

// pathOf is a path for a file without a name, for this process.
func pathOf(file *os.File) string { return fmt.Sprintf("/proc/self/fd/%d", file.Fd()) }
