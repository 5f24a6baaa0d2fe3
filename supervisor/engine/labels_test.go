package engine

import (
	"maps"
	"net/netip"
	"slices"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"

	"upall/compose"
)

// A container is made anew when what upall gave it at its creation has changed,
// and only then.
func TestDigest(t *testing.T) {
	t.Parallel()
	plan := func(peers ...string) *compose.Plan {
		p := &compose.Plan{Networks: []compose.Network{{Key: "n", Fixed: true}}}
		for n, name := range append([]string{"api"}, peers...) {
			p.Services = append(p.Services, compose.Service{
				Name: name, Runtime: compose.Engine, Networks: []compose.ServiceNetwork{{Key: "n", Names: []string{name}}},
				Instances: []compose.Instance{{
					Name: name + "-1", Index: 1, ContainerName: "p-" + name + "-1",
					Endpoints: []compose.Endpoint{{Network: "n", Addr: netip.AddrFrom4([4]byte{10, 0, 0, byte(n + 2)})}},
				}},
			})
		}
		return p
	}
	digest := func(socket string, p *compose.Plan) string {
		r := &planned{Config: Config{Socket: socket, Plan: p}}
		return r.digest(&p.Services[0])
	}
	first := digest("/s", plan("db"))
	if digest("/s", plan("db")) != first {
		t.Error("it differs for the same")
	}
	allowing := plan("db")
	allowing.Services[0].Settings.AllowIOURing = true
	for why, other := range map[string]string{
		"a peer more":           digest("/s", plan("db", "cache")),
		"interception off":      digest("", plan("db")),
		"io_uring allowed":      digest("/s", allowing),
		"another agent's place": digest("/t", plan("db")),
	} {
		if other == first {
			t.Errorf("it is the same with %s", why)
		}
	}
}

// A container stays while what it knows holds, also when there is more to know.
func TestKeepDigests(t *testing.T) {
	t.Parallel()
	plan := func(addrs map[string]byte) *compose.Plan {
		p := &compose.Plan{Networks: []compose.Network{{Key: "n", Fixed: true}}}
		for _, name := range slices.Sorted(maps.Keys(addrs)) {
			p.Services = append(p.Services, compose.Service{
				Name: name, Runtime: compose.Engine, Networks: []compose.ServiceNetwork{{Key: "n", Names: []string{name}}},
				Instances: []compose.Instance{{
					Name: name + "-1", Index: 1, ContainerName: "p-" + name + "-1",
					Endpoints: []compose.Endpoint{{Network: "n", Addr: netip.AddrFrom4([4]byte{10, 0, 0, addrs[name]})}},
				}},
			})
		}
		return p
	}
	of := func(p *compose.Plan, socket string) *planned {
		services := types.Services{}
		for _, s := range p.Services {
			services[s.Name] = types.ServiceConfig{Name: s.Name}
		}
		r := newPlanned(Config{Project: &types.Project{Name: "p", Services: services}, Plan: p, Socket: socket})
		return &r
	}
	first := of(plan(map[string]byte{"api": 2, "db": 3}), "/s")
	have := ref{service: "api", number: 1, digest: first.project.Services["api"].Labels[digestLabel]}
	for _, h := range first.Plan.Hosts(first.services["api"], first.services["api"].Instances[0]) {
		have.hosts += h.Name + ":" + h.Addr.String() + " "
	}
	for _, test := range []struct {
		name   string
		plan   map[string]byte
		socket string
		keeps  bool
	}{
		{"the same", map[string]byte{"api": 2, "db": 3}, "/s", true},
		{"a peer more", map[string]byte{"api": 2, "db": 3, "cache": 4}, "/s", true},
		{"a peer less", map[string]byte{"api": 2}, "/s", true},
		{"a peer elsewhere", map[string]byte{"api": 2, "db": 5}, "/s", false},
		{"another where a peer was", map[string]byte{"api": 2, "cache": 3}, "/s", false},
		{"another agent's place", map[string]byte{"api": 2, "db": 3}, "/t", false},
	} {
		r := of(plan(test.plan), test.socket)
		r.keepDigests([]ref{have})
		if keeps := r.project.Services["api"].Labels[digestLabel] == have.digest; keeps != test.keeps {
			t.Errorf("%s: the container is kept: %v, want %v", test.name, keeps, test.keeps)
		}
	}
}
