package compose

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// maxScale bounds the instances of one service, so that a slip of the keyboard
// does not fill the memory.
const maxScale = 10000

// scaled returns the project's services with the numbers of instances that the
// command line asks for.
func scaled(project *types.Project, scale map[string]int) (types.Services, error) {
	if len(scale) == 0 {
		return project.Services, nil
	}
	services := maps.Clone(project.Services)
	err := firstByName(maps.Keys(scale), func(name string) error {
		service, ok := services[name]
		n := scale[name]
		switch {
		case !ok:
			return fieldErrorf("", "--scale %s=%d: no such service (services: %s)", name, n, strings.Join(slices.Sorted(maps.Keys(services)), ", "))
		case n < 0 || n > maxScale:
			return fieldErrorf("", "--scale %s=%d: not a number of instances (0-%d)", name, n, maxScale)
		case n > 1 && service.ContainerName != "":
			return fieldErrorf("services."+name+".container_name", "cannot be set together with --scale %s=%d, for it must be unique", name, n)
		}
		services[name] = withScale(service, n)
		return nil
	})
	return services, err
}

// withScale returns a service with another number of instances; what it shares
// with the one given stays as it is.
func withScale(service types.ServiceConfig, n int) types.ServiceConfig {
	if service.Deploy != nil {
		deploy := *service.Deploy
		service.Deploy = &deploy
	}
	service.SetScale(n)
	return service
}

// scaleKey is where the number of instances is set.
func scaleKey(config types.ServiceConfig) string {
	if config.Scale != nil {
		return "scale"
	}
	return "deploy.replicas"
}

func instances(config types.ServiceConfig) []Instance {
	var all []Instance
	for i := 1; i <= config.GetScale(); i++ {
		all = append(all, Instance{Name: fmt.Sprintf("%s-%d", config.Name, i), Index: i})
	}
	return all
}
