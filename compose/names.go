package compose

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// hostNames lists the names of a service without repetition: the service's
// first, its network aliases sorted.
func hostNames(config types.ServiceConfig) ([]string, error) {
	path := "services." + config.Name
	names := &nameList{}
	names.add(path, config.Name)
	if config.GetScale() == 1 {
		names.add(path+".container_name", config.ContainerName)
	}
	names.add(path+".hostname", config.Hostname)
	var aliases []string
	for _, network := range slices.Sorted(maps.Keys(config.Networks)) {
		if config.Networks[network] == nil {
			continue
		}
		aliases = append(aliases, config.Networks[network].Aliases...)
	}
	slices.Sort(aliases)
	for _, alias := range aliases {
		names.add(path+".networks", alias)
	}
	return names.names, names.err
}

// nameList collects names once each, and the first error.
type nameList struct {
	names []string
	err   error
}

// add adds a name that stands at a key; an empty one is no name.
func (l *nameList) add(path, name string) {
	if name == "" || l.err != nil || slices.Contains(l.names, name) {
		return
	}
	l.err = checkName(path, name)
	l.names = append(l.names, name)
}

// checkName refuses what cannot stand in a hosts file (hosts(5)).
func checkName(path, name string) error {
	if name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == '#' || r == 0x7f }) {
		return fieldErrorf(path, "%q is no host name", name)
	}
	return nil
}

// linkNames lists the aliases of links ("db:database").
func linkNames(config types.ServiceConfig) (map[string]string, error) {
	var names map[string]string
	for i, link := range config.Links {
		service, alias, ok := strings.Cut(link, ":")
		if !ok || alias == service {
			continue
		}
		if err := checkName(fmt.Sprintf("services.%s.links[%d]", config.Name, i), alias); err != nil {
			return nil, err
		}
		if names == nil {
			names = map[string]string{}
		}
		names[alias] = service
	}
	return names, nil
}

// extraHosts lists extra_hosts. The gateway of a process to its host is the
// loopback.
func extraHosts(config types.ServiceConfig, runtime Runtime) ([]string, error) {
	if runtime == Engine {
		return nil, nil
	}
	var lines []string
	err := firstByName(maps.Keys(config.ExtraHosts), func(name string) error {
		path := "services." + config.Name + ".extra_hosts." + name
		if err := checkName(path, name); err != nil {
			return err
		}
		for _, value := range config.ExtraHosts[name] {
			if value == "host-gateway" {
				value = "127.0.0.1"
			}
			addr, err := netip.ParseAddr(value)
			if err != nil {
				return fieldErrorf(path, "%q is no IP address (or host-gateway)", value)
			}
			lines = append(lines, addr.String()+"\t"+name)
		}
		return nil
	})
	return lines, err
}
