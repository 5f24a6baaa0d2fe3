package compose

import (
	"context"
	"fmt"
	"maps"
	"strings"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/template"
	"github.com/compose-spec/compose-go/v2/types"
)

// placeholderImage stands in for the image that a process does not need, while
// compose-go checks the project. It is in no registry and in no result.
const placeholderImage = "upall.invalid/process"

// panicked begins the error that a panic of compose-go becomes.
const panicked = "a value has the wrong type: "

// modelToProject loads the merged model and lets compose-go check it and turn
// it into a project. compose-go refuses a service without image and build, and
// that check cannot be switched off alone; so such services have an image
// during the check, and all its other checks hold for them too. Which runtime
// runs a service, and whether it needs an image, is decided by NewPlan.
func modelToProject(ctx context.Context, details types.ConfigDetails, options []func(*loader.Options)) (project *types.Project, err error) {
	// compose-go panics on some values of the wrong type (networks: {"a b": 1}):
	// it converts before it checks.
	defer func() {
		if cause := recover(); cause != nil {
			project, err = nil, fmt.Errorf("%s%v", panicked, cause)
		}
	}()
	model, err := loader.LoadModelWithContext(ctx, details, options...)
	if err != nil {
		return nil, err
	}
	without := imageless(model)
	for _, service := range without {
		service["image"] = placeholderImage
	}
	resolved := loader.ToOptions(&details, options)
	if name, ok := model["name"].(string); ok {
		resolved.SetProjectName(name, true)
	}
	project, err = loader.ModelToProject(model, resolved, details)
	if err != nil {
		return nil, err
	}
	for _, file := range details.ConfigFiles {
		project.ComposeFiles = append(project.ComposeFiles, file.Filename)
	}
	for name := range without {
		removePlaceholder(project.Services, name)
		removePlaceholder(project.DisabledServices, name)
	}
	return project, nil
}

// imageless returns the services of a model that have nothing to run in a
// container.
func imageless(model map[string]any) map[string]map[string]any {
	found := map[string]map[string]any{}
	services, _ := model["services"].(map[string]any)
	for name, value := range services {
		service, ok := value.(map[string]any)
		if !ok || service["build"] != nil || service["provider"] != nil {
			continue
		}
		if image, _ := service["image"].(string); image == "" {
			found[name] = service
		}
	}
	return found
}

func removePlaceholder(services types.Services, name string) {
	service, ok := services[name]
	if !ok {
		return
	}
	service.Image = ""
	services[name] = service
}

// setSubstitute makes the loader report unset variables to o.Warn, once each,
// instead of writing them to a global logger.
func (o Options) setSubstitute(l *loader.Options) {
	reported := map[string]bool{}
	replace := func(text string, mapping template.Mapping, cfg *template.Config) (string, error) {
		value, applied, err := template.DefaultReplacementAppliedFunc(text, mapping, cfg)
		name := strings.Trim(text, "${}")
		if err == nil && !applied && !reported[name] {
			reported[name] = true
			o.warn(fmt.Sprintf("the variable %s is not set; it is replaced by nothing", name))
		}
		return value, err
	}
	l.Interpolate.Substitute = func(text string, mapping template.Mapping) (string, error) {
		return template.SubstituteWithOptions(text, mapping, template.WithoutLogging, template.WithReplacementFunction(replace))
	}
}

func (o Options) warn(line string) {
	if o.Warn != nil {
		o.Warn(oneLine(line))
	}
}

// checkSettings checks every x-upall of the project, of services that no
// profile has enabled too.
func checkSettings(project *types.Project) error {
	all := project.AllServices()
	return firstByName(maps.Keys(all), func(name string) error {
		_, err := serviceSettings(project, all[name])
		return err
	})
}
