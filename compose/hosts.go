package compose

import (
	"net/netip"
	"slices"
	"strings"
)

// Host is a name of a hosts file.
type Host struct {
	Name string
	Addr netip.Addr
}

// Hosts lists the names that an instance may reach and whose addresses are
// known before anything starts: what the engine's DNS would answer, scoped by
// shared networks, and the names of processes. Names of the user's extra_hosts
// are not among them. A service's replicas have an entry each. It is empty
// where the file of names is not upall's: without a network, and in the
// namespace of a container that is not of the plan.
func (p *Plan) Hosts(s *Service, i Instance) []Host {
	t := hostsTable{plan: p, client: s, instance: i, links: map[string]string{}, from: map[string]string{}, seen: map[Host]bool{}}
	if s.Runtime == Engine {
		t.client = p.namespaceService(s)
		if t.client == nil || t.client.Namespace == NamespaceNone || inForeign(t.client.Namespace) {
			return nil
		}
		if i.Owner != "" {
			t.instance.Name = i.Owner
		}
	}
	t.addLinks()
	for _, network := range t.networks() {
		t.addContainers(network)
	}
	t.addProcesses()
	return t.hosts
}

func inForeign(namespace string) bool {
	return strings.HasPrefix(namespace, namespaceContainer)
}

// hostsTable is a hosts file while it is made, for a client's namespace.
type hostsTable struct {
	plan     *Plan
	client   *Service // whose namespace it is
	instance Instance
	links    map[string]string // from a name to the service that it is
	from     map[string]string // from a name to the network that it was found on
	hosts    []Host
	seen     map[Host]bool
}

// onHost reports whether the client is in the host's network namespace.
func (t *hostsTable) onHost() bool {
	return t.client.Runtime == Process || t.client.Namespace == NamespaceHost
}

// addLinks notes the names that only this client has for its peers. Containers
// that share a namespace share its file of names, so each brings its own.
func (t *hostsTable) addLinks() {
	t.addLinksOf(t.client)
	if t.client.Runtime == Process {
		return
	}
	for n := range t.plan.Services {
		s := &t.plan.Services[n]
		if s.Runtime == Engine && len(s.Instances) > 0 && s.Instances[0].Owner == t.instance.Name {
			t.addLinksOf(s)
		}
	}
}

func (t *hostsTable) addLinksOf(s *Service) {
	for name, target := range s.LinkNames {
		if _, known := t.links[name]; !known {
			t.links[name] = target
		}
	}
}

// hostIn returns the address of the host in the first network that has it.
func hostIn(networks []Network) netip.Addr {
	for _, network := range networks {
		if network.Fixed && network.ofHost() {
			return network.Gateway
		}
	}
	return netip.Addr{}
}

// networks lists the networks on which the client finds containers, in the
// order in which names are looked up there.
func (t *hostsTable) networks() []Network {
	var networks []Network
	if t.onHost() {
		for _, fixed := range []bool{true, false} {
			for _, network := range t.plan.Networks {
				if network.ofHost() && network.Fixed == fixed {
					networks = append(networks, network)
				}
			}
		}
		return networks
	}
	return t.plan.networksOf(t.client)
}

// networksOf lists the networks that the containers of a service are on.
func (p *Plan) networksOf(s *Service) []Network {
	var networks []Network
	for _, on := range s.Networks {
		n := slices.IndexFunc(p.Networks, func(network Network) bool { return network.Key == on.Key })
		if n >= 0 {
			networks = append(networks, p.Networks[n])
		}
	}
	return networks
}

// addContainers adds the containers on a network. A name that an earlier
// network knows is that network's, and a link's name is the link's alone, both
// as with the engine's DNS.
func (t *hostsTable) addContainers(network Network) {
	for n := range t.plan.Services {
		s := &t.plan.Services[n]
		on := slices.IndexFunc(s.Networks, func(on ServiceNetwork) bool { return on.Key == network.Key })
		if on < 0 {
			continue
		}
		for _, i := range s.Instances {
			names := append(slices.Clone(s.Networks[on].Names), i.ContainerName)
			if t.client.Runtime == Process {
				names = append(names, i.Name)
			}
			t.add(s, network.Key, names, i.Endpoints[on].addrs())
		}
	}
}

// addProcesses adds the processes, for a container as far as it reaches the
// host.
func (t *hostsTable) addProcesses() {
	reaches := t.onHost() || hostIn(t.networks()).IsValid()
	for n := range t.plan.Services {
		s := &t.plan.Services[n]
		if s.Runtime != Process || !reaches {
			continue
		}
		for _, i := range s.Instances {
			if t.onHost() || !i.Addr.IsLoopback() {
				t.add(s, processes, append(slices.Clone(s.Names), i.Name), []netip.Addr{i.Addr})
			}
		}
	}
}

// processes stands for a network in hostsTable.from; no key is as this.
const processes = "\x00processes"

// add adds the names of an instance of s, and the client's own for it.
func (t *hostsTable) add(s *Service, network string, names []string, addrs []netip.Addr) {
	var linked []string
	for name, target := range t.links {
		if target == s.Name {
			linked = append(linked, name)
		}
	}
	slices.Sort(linked)
	for _, name := range unique(append(names, linked...)) {
		if target, isLink := t.links[name]; isLink && target != s.Name || slices.Contains(t.client.ExtraNames, name) {
			continue
		}
		for _, addr := range addrs {
			if first, known := t.from[name]; known && first != network {
				continue
			}
			t.from[name] = network
			if host := (Host{name, addr}); !t.seen[host] {
				t.seen[host] = true
				t.hosts = append(t.hosts, host)
			}
		}
	}
}
