package engine

import (
	"net/netip"
	"testing"

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
		r := &Runtime{Config: Config{Socket: socket, Plan: p}}
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
