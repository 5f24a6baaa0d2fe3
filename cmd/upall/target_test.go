package main

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"upall/compose"
	"upall/supervisor/engine"
)

// mixed has a container that refers to processes in each way, and both kinds in
// profiles that nothing enables.
const mixed = `
name: mixed
services:
  web:
    image: web
    depends_on: [worker, db]
    links: ["worker:jobs", "db:database"]
    environment: {PRICE: "5$$ and $${MORE}"}
  db: {image: db}
  worker: {command: [sleep, "1"]}
  tool: {image: tool, profiles: [tools], depends_on: [worker]}
  task: {image: task, profiles: [tools], command: [sleep, "1"], x-upall: {runtime: process}}
networks:
  default: {ipam: {config: [{subnet: 10.1.0.0/24}]}}
  other: {}
`

func findMixed(t *testing.T) *target {
	t.Helper()
	t.Chdir(t.TempDir())
	if err := os.WriteFile("compose.yaml", []byte(mixed), 0o600); err != nil {
		t.Fatal(err)
	}
	root := newRoot(io.Discard, io.Discard)
	root.SetContext(t.Context())
	found, err := new(projectFlags).find(root)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestContainersOnly loads what Compose would get, as Compose does: with each
// service, in its profile, and each text as it was meant.
func TestContainersOnly(t *testing.T) {
	found := findMixed(t)
	if diff := cmp.Diff(map[string]bool{"worker": true, "task": true}, found.processes); diff != "" {
		t.Errorf("processes (-want +got):\n%s", diff)
	}
	if !found.mayHaveContainers() {
		t.Error("the project is said to have no container")
	}
	project := withExternal(containersOnly(found.project, found.processes), []string{"mixed_default"})
	file, err := writeProject(project)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	}()
	again, err := compose.Load(t.Context(), compose.Options{Files: []string{pathOf(file)}, Name: "mixed", ProjectDir: project.WorkingDir})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"db", "web"}, again.ServiceNames()); diff != "" {
		t.Errorf("services (-want +got):\n%s", diff)
	}
	if tool, ok := again.DisabledServices["tool"]; !ok || len(tool.DependsOn) > 0 {
		t.Errorf("tool is %+v, want it in its profile, alone", tool)
	}
	web := again.Services["web"]
	if diff := cmp.Diff([]string{"db:database"}, web.Links); diff != "" {
		t.Errorf("links (-want +got):\n%s", diff)
	}
	if _, ok := web.DependsOn["db"]; !ok || len(web.DependsOn) != 1 {
		t.Errorf("web depends on %v, want db alone", web.DependsOn)
	}
	if got, want := *web.Environment["PRICE"], "5$ and ${MORE}"; got != want {
		t.Errorf("PRICE is %q, want %q", got, want)
	}
	if n := again.Networks["default"]; !bool(n.External) || n.Name != "mixed_default" || len(n.Ipam.Config) > 0 {
		t.Errorf("the network that is there is %+v, want it external", n)
	}
	// The project that was found is as it was.
	if web := found.project.Services["web"]; len(web.DependsOn) != 2 || len(web.Links) != 2 || bool(found.project.Networks["default"].External) {
		t.Errorf("the project was changed: %+v", web)
	}
}

// TestNameless holds that what Compose reads is not in sight of others.
func TestNameless(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	file, err := writeProject(findMixed(t).project)
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(os.Getenv("TMPDIR"))
	if err = errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
	if len(entries) > 0 {
		t.Errorf("left %v behind", entries)
	}
}

func TestExplain(t *testing.T) {
	found := findMixed(t)
	for _, test := range []struct {
		args string
		err  error
		want string
	}{
		{"logs worker", errors.New("no such service: worker"), `no such service: worker: service "worker" runs as a process, and logs is for containers`},
		{"cp worker:/a .", errors.New(`no container found for service "worker"`), `no container found for service "worker": service "worker" runs as a process, and cp is for containers`},
		{"exec web worker", errors.New("no such file"), "no such file"},
		{"logs web", errors.New("no such service: web"), "no such service: web"},
		{"run worker", engine.ExitError{Code: 3}, "exit code 3"},
	} {
		if got := found.explain(strings.Fields(test.args), test.err).Error(); got != test.want {
			t.Errorf("%s: got %q, want %q", test.args, got, test.want)
		}
	}
}

func TestProjectArgs(t *testing.T) {
	flags := projectFlags{
		files: []string{"a.yaml", "b.yaml"}, name: "shop", profiles: []string{"x"}, envFiles: []string{"e"}, projectDir: "d",
	}
	want := strings.Fields("--profile x --env-file e --file a.yaml --file b.yaml --project-name shop --project-directory d")
	if diff := cmp.Diff(want, flags.args()); diff != "" {
		t.Errorf("arguments (-want +got):\n%s", diff)
	}
}

func TestIsByName(t *testing.T) {
	for _, test := range []struct {
		flags projectFlags
		env   map[string]string
		want  bool
	}{
		{projectFlags{}, nil, false},
		{projectFlags{name: "shop"}, nil, true},
		{projectFlags{}, map[string]string{"COMPOSE_PROJECT_NAME": "shop"}, true},
		{projectFlags{name: "shop", files: []string{"a.yaml"}}, nil, false},
		{projectFlags{name: "shop"}, map[string]string{"COMPOSE_FILE": "a.yaml"}, false},
	} {
		if got := test.flags.isByName(func(key string) string { return test.env[key] }); got != test.want {
			t.Errorf("%+v with %v: got %t", test.flags, test.env, got)
		}
	}
}
