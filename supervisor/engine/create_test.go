package engine

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
)

func TestWhole(t *testing.T) {
	t.Parallel()
	image := program{[]string{"/entry"}, []string{"serve"}}
	for _, test := range []struct {
		name             string
		entrypoint, args []string
		want             program
	}{
		{"the image's own", nil, nil, image},
		{"arguments of its own", nil, []string{"get"}, program{[]string{"/entry"}, []string{"get"}}},
		{"an empty list of arguments is none of its own", nil, []string{}, image},
		{"an empty entrypoint without arguments", []string{}, nil, program{[]string{}, []string{"serve"}}},
		{"an entrypoint drops the image's arguments", []string{"sh"}, nil, program{[]string{"sh"}, nil}},
		{"both", []string{"sh"}, []string{"-c", "true"}, program{[]string{"sh"}, []string{"-c", "true"}}},
		{"a reset entrypoint", []string{""}, []string{"true"}, program{nil, []string{"true"}}},
		{"an empty entrypoint", []string{}, []string{"true"}, program{[]string{}, []string{"true"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := whole(&container.Config{Entrypoint: test.entrypoint, Cmd: test.args}, image)
			if !slices.Equal(got.entrypoint, test.want.entrypoint) || !slices.Equal(got.args, test.want.args) {
				t.Errorf("got %q %q, want %q %q", got.entrypoint, got.args, test.want.entrypoint, test.want.args)
			}
		})
	}
}

func TestPlacement(t *testing.T) {
	t.Parallel()
	ours, users := netip.MustParseAddr("10.1.0.2"), netip.MustParseAddr("10.2.0.99")
	place := placement{
		addresses: map[string]addresses{"p_a": {v4: ours}, "p_b": {v4: netip.MustParseAddr("10.2.0.2")}},
		hosts:     []string{"db:10.1.0.3", "mail:10.1.0.4"},
	}
	o := client.ContainerCreateOptions{
		Config:     &container.Config{},
		HostConfig: &container.HostConfig{NetworkMode: "p_a", ExtraHosts: []string{"mail:192.0.2.1"}},
		NetworkingConfig: &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{
			"p_a": {}, "p_b": {IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: users}}, "p_c": {},
		}},
	}
	if err := place.apply(&o, program{}); err != nil {
		t.Fatal(err)
	}
	endpoints := o.NetworkingConfig.EndpointsConfig
	if got := endpoints["p_a"].IPAMConfig.IPv4Address; got != ours {
		t.Errorf("the address in p_a is %v, want %v", got, ours)
	}
	if got := endpoints["p_b"].IPAMConfig.IPv4Address; got != users {
		t.Errorf("the user's address in p_b became %v", got)
	}
	if endpoints["p_c"].IPAMConfig != nil {
		t.Error("a network without fixed addresses got some")
	}
	want := []string{"mail:192.0.2.1", "db:10.1.0.3"}
	if diff := cmp.Diff(want, o.HostConfig.ExtraHosts); diff != "" {
		t.Error(diff)
	}
	shared := client.ContainerCreateOptions{Config: &container.Config{}, HostConfig: &container.HostConfig{NetworkMode: "container:x"}}
	if err := place.apply(&shared, program{}); err != nil || shared.HostConfig.ExtraHosts != nil {
		t.Errorf("a container in another's namespace got hosts %q (%v), which the engine refuses", shared.HostConfig.ExtraHosts, err)
	}
}

func TestShimInFront(t *testing.T) {
	t.Parallel()
	o := client.ContainerCreateOptions{Config: &container.Config{}, HostConfig: &container.HostConfig{Binds: []string{"/a:/b"}}}
	h := shimHandOver{program: "/p", directory: "/d"}
	if err := h.apply(&o, program{[]string{"/entry"}, []string{"serve"}}, "m"); err != nil {
		t.Fatal(err)
	}
	e := o.Config.Entrypoint
	if e[0] != shimProgram || e[len(e)-2] != "--" || e[len(e)-1] != "/entry" || !slices.Equal(o.Config.Cmd, []string{"serve"}) {
		t.Errorf("entrypoint %q, command %q", e, o.Config.Cmd)
	}
	if want := []string{"/a:/b", "/p:" + shimProgram + ":ro", "/d:" + shimDirectory + ":ro"}; !slices.Equal(o.HostConfig.Binds, want) {
		t.Errorf("binds %q, want %q", o.HostConfig.Binds, want)
	}
	nothing := client.ContainerCreateOptions{Config: &container.Config{}, HostConfig: &container.HostConfig{}}
	if err := h.apply(&nothing, program{}, "m"); err != nil || nothing.Config.Entrypoint != nil {
		t.Errorf("an image without a command got the entrypoint %q (%v)", nothing.Config.Entrypoint, err)
	}
}

func TestParseRoutes(t *testing.T) {
	t.Parallel()
	const text = `Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
eth0	00000000	0100A8C0	0003	0	0	0	00000000	0	0	0
docker0	000011AC	00000000	0001	0	0	0	0000FFFF	0	0	0
eth0	0000A8C0	00000000	0001	0	0	0	00FFFFFF	0	0	0
`
	want := []netip.Prefix{netip.MustParsePrefix("172.17.0.0/16"), netip.MustParsePrefix("192.168.0.0/24")}
	if got := parseRoutes(text); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
