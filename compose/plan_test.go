package compose

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// text prints a plan for the golden files; root is shown as ROOT.
func (p *Plan) text(root string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "project %s in %s\n", p.Name, p.WorkingDir)
	for _, n := range p.Networks {
		fmt.Fprintf(&b, "\nnetwork %s: %s driver %q external %t fixed %t\n", n.Key, n.Name, n.Driver, n.External, n.Fixed)
		fmt.Fprintf(&b, "  subnets %v dynamic %v gateway %s\n", n.Subnets, n.DynamicRange, showAddr(n.Gateway))
	}
	for _, s := range p.Services {
		fmt.Fprintf(&b, "\n%s: %s %q in %s\n", s.Name, s.Runtime, s.Command, s.Dir)
		fmt.Fprintf(&b, "  names %s\n", strings.Join(s.Names, " "))
		for _, i := range s.Instances {
			if s.Runtime == Process {
				fmt.Fprintf(&b, "  instance %d %s %s %s\n", i.Index, i.Name, showAddr(i.Addr), showAddr(i.Addr2))
				continue
			}
			fmt.Fprintf(&b, "  instance %d %s container %s%s\n", i.Index, i.Name, i.ContainerName, i.showEndpoints())
		}
		if s.Namespace != "" {
			fmt.Fprintf(&b, "  namespace %s\n", s.Namespace)
		}
		for _, n := range s.Networks {
			fmt.Fprintf(&b, "  on %s as %s\n", n.Key, strings.Join(n.Names, " "))
		}
		if slices.ContainsFunc(p.Services, func(s Service) bool { return s.Runtime == Engine }) {
			b.WriteString(p.showHosts(s))
		}
		for _, port := range s.Ports {
			fmt.Fprintf(&b, "  port %d/%s\n", port.Number, port.Protocol)
		}
		for _, u := range s.Published {
			fmt.Fprintf(&b, "  publish %q %d-%d -> %d/%s\n", u.HostIP, u.HostPort, u.HostPortEnd, u.Target, u.Protocol)
		}
		for _, g := range s.Gates {
			fmt.Fprintf(&b, "  gate %s %s %s required=%t restart=%t\n", g.Kind, g.Service, g.Condition, g.Required, g.Restart)
		}
		for _, alias := range slices.Sorted(maps.Keys(s.LinkNames)) {
			fmt.Fprintf(&b, "  link %s = %s\n", alias, s.LinkNames[alias])
		}
		for _, h := range s.ExtraHosts {
			fmt.Fprintf(&b, "  host %s\n", h)
		}
		for _, e := range s.Env {
			fmt.Fprintf(&b, "  env %q\n", e)
		}
		fmt.Fprintf(&b, "  user %q stop %q %s restart %s:%d attach %t\n", s.User, s.StopSignal, s.StopGrace, s.Restart.Policy, s.Restart.Max, s.Attach)
		b.WriteString(s.showHealth())
		fmt.Fprintf(&b, "  hold %s %s ready %s io_uring %t\n", s.Settings.Hold, s.Settings.HoldTimeout, s.Settings.Ready, s.Settings.AllowIOURing)
	}
	for _, w := range p.Warnings {
		fmt.Fprintf(&b, "\nwarning: %s\n", w)
	}
	return strings.ReplaceAll(b.String(), root, "ROOT")
}

// showHealth prints the healthcheck, if the file says something of it.
func (s Service) showHealth() string {
	switch h := s.Health; {
	case s.NoHealth:
		return "  health none\n"
	case h != nil:
		return fmt.Sprintf("  health %q %q every %s timeout %s start %s every %s retries %d\n",
			h.Test, h.Shell, h.Interval, h.Timeout, h.StartPeriod, h.StartInterval, h.Retries)
	}
	return ""
}

// showEndpoints prints what a container has, in one line.
func (i Instance) showEndpoints() string {
	var b strings.Builder
	if i.Owner != "" {
		fmt.Fprintf(&b, " of %s", i.Owner)
	}
	for _, e := range i.Endpoints {
		fmt.Fprintf(&b, ", %s %s", e.Network, showAddr(e.Addr))
		if e.Addr6.IsValid() {
			fmt.Fprintf(&b, " %s", e.Addr6)
		}
	}
	return b.String()
}

// showHosts prints the names that a service's first instance knows, a line for
// an address.
func (p *Plan) showHosts(s Service) string {
	if len(s.Instances) == 0 {
		return ""
	}
	var addrs []netip.Addr
	names := map[netip.Addr][]string{}
	for _, h := range p.Hosts(&s, s.Instances[0]) {
		if names[h.Addr] == nil {
			addrs = append(addrs, h.Addr)
		}
		names[h.Addr] = append(names[h.Addr], h.Name)
	}
	var b strings.Builder
	for _, addr := range addrs {
		fmt.Fprintf(&b, "  knows %s %s\n", addr, strings.Join(names[addr], " "))
	}
	return b.String()
}

func showAddr(a netip.Addr) string {
	if !a.IsValid() {
		return "-"
	}
	return a.String()
}

func TestNewPlan(t *testing.T) {
	small := netip.MustParsePrefix("127.10.0.0/28")
	cases := []planCase{
		{name: "defaults"},
		{name: "runtimes"},
		{name: "chosen"},
		{name: "forced", options: PlanOptions{Runtime: Process}},
		{name: "ports"},
		{name: "names"},
		{name: "gates"},
		{name: "gates-top"},
		{name: "replicas"},
		{name: "replicas-small", file: "replicas", options: PlanOptions{Prefix: small}},
		{name: "environment"},
		{name: "restart"},
		{name: "settings"},
		{name: "settings-flag", file: "settings", options: PlanOptions{HoldTimeout: 7 * time.Second}},
		{name: "warnings"},
		{name: "health"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { checkPlan(t, c) })
	}
}

// checkPlan compares a plan with its golden file, twice.
func checkPlan(t *testing.T, c planCase) {
	t.Helper()
	root, err := filepath.Abs("testdata/plan")
	if err != nil {
		t.Fatal(err)
	}
	options := c.loadOptions(root)
	plan, err := loadAndPlan(t.Context(), options, c.options)
	if err != nil {
		t.Fatal(err)
	}
	compareGolden(t, filepath.Join(root, c.name+".golden"), plan.text(root))
	again, err := loadAndPlan(t.Context(), options, c.options)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(plan.text(root), again.text(root)); diff != "" {
		t.Errorf("not deterministic:\n%s", diff)
	}
}

func (c planCase) loadOptions(root string) Options {
	file := c.file
	if file == "" {
		file = c.name
	}
	return Options{Files: []string{filepath.Join(root, file+".yaml")}, Environment: []string{"FROM_HOST=yes"}}
}

// TestPlanFiles keeps the folder free of files that no case reads.
func TestPlanFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/plan/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if _, err := os.Stat(strings.TrimSuffix(file, ".yaml") + ".golden"); err != nil {
			t.Errorf("%s is read by no test", file)
		}
	}
}

// TestNewPlanLeavesProject: planning is pure, and so can be done again with
// other options.
func TestNewPlanLeavesProject(t *testing.T) {
	project, err := Load(t.Context(), Options{Files: []string{"testdata/plan/gates.yaml"}, Environment: []string{}})
	if err != nil {
		t.Fatal(err)
	}
	before, err := project.MarshalYAML()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewPlan(project, PlanOptions{Prefix: testPrefix()}); err != nil {
		t.Fatal(err)
	}
	after, err := project.MarshalYAML()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(before), string(after)); diff != "" {
		t.Errorf("the project changed:\n%s", diff)
	}
	if strings.Contains(string(after), placeholderImage) {
		t.Errorf("the project holds the placeholder image:\n%s", after)
	}
}

// TestPlanErrors are the errors that no file can cause alone.
func TestPlanErrors(t *testing.T) {
	cases := []struct {
		name    string
		file    string
		options PlanOptions
		want    string
	}{
		{"runtime", "defaults", PlanOptions{Runtime: "docker"}, `runtime "docker" is not allowed (allowed: engine, process)`},
		{"timeout", "defaults", PlanOptions{HoldTimeout: -1}, `hold timeout -1ns is negative`},
		{"forced engine", "defaults", PlanOptions{Runtime: Engine}, `testdata/plan/defaults.yaml:2: services.web: neither image nor build is given, and the engine runtime needs one`},
		{"forced process", "chosen", PlanOptions{Runtime: Process}, `testdata/plan/chosen.yaml:4: services.built.command: missing, and the image's own command is not known without a container (give command or entrypoint)`},
		{"small prefix", "replicas", PlanOptions{Prefix: netip.MustParsePrefix("127.1.0.0/29")}, `address prefix 127.1.0.0/29 has room for 2 processes, and the project has 6`},
		{"single address", "defaults", PlanOptions{Prefix: netip.MustParsePrefix("127.1.0.0/32")}, `address prefix 127.1.0.0/32 has room for 0 processes, and the project has 1`},
		{"foreign prefix", "defaults", PlanOptions{Prefix: netip.MustParsePrefix("10.0.0.0/8")}, `address prefix "10.0.0.0/8" is not a prefix within 127.0.0.0/8`},
		{"scale of nothing", "containers", PlanOptions{Scale: map[string]int{"wbe": 2}}, `--scale wbe=2: no such service (services: api, cache, db, lonely, none, web)`},
		{"negative scale", "containers", PlanOptions{Scale: map[string]int{"web": -1}}, `--scale web=-1: not a number of instances (0-10000)`},
		{"great scale", "defaults", PlanOptions{Scale: map[string]int{"web": 10001}}, `--scale web=10001: not a number of instances (0-10000)`},
		{"scale and name", "containers", PlanOptions{Scale: map[string]int{"db": 2}}, `testdata/plan/containers.yaml:16: services.db.container_name: cannot be set together with --scale db=2, for it must be unique`},
		{
			"scale and address", "subnets",
			PlanOptions{Scale: map[string]int{"a": 2}},
			`testdata/plan/subnets.yaml:6: services.a.networks.both.ipv4_address: 2 containers cannot have one address`,
		},
		{
			"pool exhausted", "containers",
			PlanOptions{Pools: prefixes("10.200.0.0/23", "10.64.0.0/25")},
			`testdata/plan/containers.yaml:31: networks.front: network pool exhausted: no free /24 in 10.200.0.0/23, 10.64.0.0/25 (give the network a subnet in ipam)`,
		},
		{
			"no IPv6", "subnets",
			PlanOptions{Taken: prefixes("fc00::/7")},
			`testdata/plan/subnets.yaml:29: networks.chosen6: network pool exhausted: no free IPv6 subnet in fd00::/8 (give the network one in ipam)`,
		},
		{
			"foreign address", "external",
			PlanOptions{Networks: map[string]ExistingNetwork{"given": {Subnets: prefixes("10.8.0.0/24"), Configured: true}}},
			`testdata/plan/external.yaml:8: services.b.networks.given.ipv4_address: the network given has no subnet that holds 10.9.1.77`,
		},
		{"wide prefix", "defaults", PlanOptions{Prefix: netip.MustParsePrefix("127.0.0.0/7")}, `address prefix "127.0.0.0/7" is not a prefix within 127.0.0.0/8`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := loadAndPlan(t.Context(), Options{Files: []string{"testdata/plan/" + c.file + ".yaml"}, Environment: []string{}}, c.options)
			if err == nil || err.Error() != c.want {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}

// TestPlanWithoutSources: errors then name the key alone.
func TestPlanWithoutSources(t *testing.T) {
	project, err := Load(t.Context(), Options{Files: []string{"testdata/plan/defaults.yaml"}, Environment: []string{}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = NewPlan(project, PlanOptions{Runtime: Engine})
	want := "services.web: neither image nor build is given, and the engine runtime needs one"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
