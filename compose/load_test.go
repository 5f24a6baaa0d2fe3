package compose

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/google/go-cmp/cmp"
)

// enter makes a folder of the given files the current directory.
func enter(t *testing.T, files map[string]string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "shop")
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
}

// summary prints name, and per service command and environment.
func summary(project *types.Project) string {
	lines := []string{"project " + project.Name}
	for _, name := range project.ServiceNames() {
		s := project.Services[name]
		lines = append(lines, strings.TrimSpace(name+": "+strings.Join(s.Command, " ")+" "+strings.Join(environment(s), " ")))
	}
	return strings.Join(lines, "\n")
}

func TestLoad(t *testing.T) {
	const web = "services:\n  web:\n    command: web ${A:-none}\n"
	cases := []struct {
		name    string
		files   map[string]string
		in      string // current directory, within the folder
		options Options
		want    []string
	}{
		{name: "default file", files: map[string]string{"compose.yaml": web}, want: []string{"project shop", "web: web none"}},
		{name: "docker-compose.yml", files: map[string]string{"docker-compose.yml": web}, want: []string{"project shop", "web: web none"}},
		{
			name: "walks up", files: map[string]string{"compose.yaml": web, "a/b/x": "", ".env": "A=top"}, in: "a/b",
			want: []string{"project shop", "web: web top"},
		},
		{
			name: "override file", files: map[string]string{"compose.yaml": web, "compose.override.yaml": "services:\n  web:\n    command: other\n"},
			want: []string{"project shop", "web: other"},
		},
		{
			name:    "no override with -f",
			files:   map[string]string{"compose.yaml": web, "compose.override.yaml": "services:\n  web:\n    command: other\n"},
			options: Options{Files: []string{"compose.yaml"}}, want: []string{"project shop", "web: web none"},
		},
		{name: "stdin", options: Options{Files: []string{"-"}, Stdin: strings.NewReader(web)}, want: []string{"project shop", "web: web none"}},
		{
			name: "stdin over file", files: map[string]string{"a.yaml": web},
			options: Options{Files: []string{"a.yaml", "-"}, Stdin: strings.NewReader("services:\n  web:\n    environment: {B: b}\n")},
			want:    []string{"project shop", "web: web none B=b"},
		},
		{
			name: "project name", files: map[string]string{"compose.yaml": "name: fromfile\n" + web},
			options: Options{Name: "flag", Environment: []string{"COMPOSE_PROJECT_NAME=env"}}, want: []string{"project flag", "web: web none"},
		},
		{
			name: "project name of the environment", files: map[string]string{"compose.yaml": "name: fromfile\n" + web},
			options: Options{Environment: []string{"COMPOSE_PROJECT_NAME=env"}}, want: []string{"project env", "web: web none"},
		},
		{name: "project name of the file", files: map[string]string{"compose.yaml": "name: fromfile\n" + web}, want: []string{"project fromfile", "web: web none"}},
		{
			name: "COMPOSE_FILE", files: map[string]string{"a.yaml": web, "b.yaml": "services:\n  b:\n    command: b\n"},
			options: Options{Environment: []string{"COMPOSE_FILE=a.yaml,b.yaml", "COMPOSE_PATH_SEPARATOR=,"}},
			want:    []string{"project shop", "b: b", "web: web none"},
		},
		{
			name: "environment over .env", files: map[string]string{"compose.yaml": web, ".env": "A=dotenv"},
			options: Options{Environment: []string{"A=env"}}, want: []string{"project shop", "web: web env"},
		},
		{name: ".env", files: map[string]string{"compose.yaml": web, ".env": "A=dotenv"}, want: []string{"project shop", "web: web dotenv"}},
		{
			name: "no .env", files: map[string]string{"compose.yaml": web, ".env": "A=dotenv"},
			options: Options{Environment: []string{"COMPOSE_DISABLE_ENV_FILE=1"}}, want: []string{"project shop", "web: web none"},
		},
		{
			name: "--env-file", files: map[string]string{"compose.yaml": web, ".env": "A=dotenv", "one": "A=1", "two": "A=2"},
			options: Options{EnvFiles: []string{"one", "two"}}, want: []string{"project shop", "web: web 2"},
		},
		{
			name: "COMPOSE_ENV_FILES", files: map[string]string{"compose.yaml": web, "one": "A=1"},
			options: Options{Environment: []string{"COMPOSE_ENV_FILES=one"}}, want: []string{"project shop", "web: web 1"},
		},
		{
			name: "--project-directory", files: map[string]string{"x/compose.yaml": web, "y/.env": "A=y"},
			options: Options{Files: []string{"x/compose.yaml"}, ProjectDir: "y"}, want: []string{"project y", "web: web y"},
		},
		{
			name:  "env_file",
			files: map[string]string{"compose.yaml": web + "    env_file: [one.env, {path: two.env}, {path: no.env, required: false}]\n    environment: {C: c}\n", "one.env": "A=1\nB=1\nC=1\n", "two.env": "B=2\n"},
			want:  []string{"project shop", "web: web none A=1 B=2 C=c"},
		},
		{
			name:  "extends",
			files: map[string]string{"compose.yaml": "services:\n  web:\n    extends: {file: sub/base.yaml, service: base}\n    environment: {B: own}\n", "sub/base.yaml": "services:\n  base:\n    command: base\n    environment: {A: base, B: base}\n    env_file: base.env\n", "sub/base.env": "C=file\n"},
			want:  []string{"project shop", "web: base A=base B=own C=file"},
		},
		{
			name:  "include",
			files: map[string]string{"compose.yaml": "include: [sub/compose.yaml]\n" + web, "sub/compose.yaml": "services:\n  db:\n    command: db ${A}\n", "sub/.env": "A=sub\n"},
			want:  []string{"project shop", "db: db sub", "web: web none"},
		},
		{
			name: "reset and override tags",
			files: map[string]string{
				"compose.yaml":          "services:\n  web:\n    command: w\n    environment: {A: a, B: b}\n  db:\n    command: d\n    environment: {C: c}\n",
				"compose.override.yaml": "services:\n  web:\n    environment: !override {D: d}\n  db:\n    environment: !reset null\n",
			},
			want: []string{"project shop", "db: d", "web: w D=d"},
		},
		{
			name: "merge key", files: map[string]string{"compose.yaml": "x-base: &base\n  environment: {A: a}\nservices:\n  web:\n    <<: *base\n    command: w\n"},
			want: []string{"project shop", "web: w A=a"},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			enter(t, c.files)
			t.Chdir(filepath.Join(".", c.in))
			if c.options.Environment == nil {
				c.options.Environment = []string{}
			}
			project, err := Load(t.Context(), c.options)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.Join(c.want, "\n"), summary(project)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestLoadOrder: of several -f the last one wins, and lists grow in their order.
func TestLoadOrder(t *testing.T) {
	enter(t, map[string]string{
		"a.yaml": "services:\n  web:\n    command: a\n    expose: [1]\n    x-upall: {hold_timeout: 1s, hold: none}\n",
		"b.yaml": "services:\n  web:\n    command: b\n    expose: [2]\n    x-upall: {hold_timeout: 2s}\n",
	})
	for _, c := range []struct {
		files   []string
		command string
		timeout string
	}{
		{[]string{"a.yaml", "b.yaml"}, "b", "2s"},
		{[]string{"b.yaml", "a.yaml"}, "a", "1s"},
	} {
		plan, err := loadAndPlan(t.Context(), Options{Files: c.files, Environment: []string{}}, PlanOptions{})
		if err != nil {
			t.Fatal(err)
		}
		web := plan.Services[0]
		if web.Command[0] != c.command || web.Settings.HoldTimeout.String() != c.timeout || web.Settings.Hold != HoldNone || len(web.Ports) != 2 {
			t.Errorf("%v: got %+v", c.files, web)
		}
	}
}

func TestLoadServices(t *testing.T) {
	const files = `
services:
  web:
    command: web
    depends_on: [db]
    x-upall: {gates: {db: none}}
  db:
    command: db
  worker:
    command: worker
    env_file: missing.env
    depends_on: {tools: {condition: service_started, required: false}}
  tools:
    command: tools
    profiles: [tools]
    depends_on: [db]
`
	enter(t, map[string]string{"compose.yaml": files, "missing.env": ""})
	cases := []struct {
		name    string
		options Options
		want    string
	}{
		{"all", Options{}, "db web worker"},
		{"one with its dependencies", Options{Services: []string{"web"}}, "db web"},
		{"without them", Options{Services: []string{"web"}, NoDeps: true}, "web"},
		{"pattern", Options{Services: []string{"w*"}, NoDeps: true}, "web worker"},
		{"profile", Options{Profiles: []string{"tools"}}, "db tools web worker"},
		{"all profiles", Options{Environment: []string{"COMPOSE_PROFILES=a,*"}}, "db tools web worker"},
		{"a named service enables its profile", Options{Services: []string{"tools"}}, "db tools"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if c.options.Environment == nil {
				c.options.Environment = []string{}
			}
			plan, err := loadAndPlan(t.Context(), c.options, PlanOptions{})
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, s := range plan.Services {
				names = append(names, s.Name)
			}
			if got := strings.Join(names, " "); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
	t.Run("files of other services need not exist", func(t *testing.T) {
		if err := os.Remove("missing.env"); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(t.Context(), Options{Services: []string{"web"}, Environment: []string{}}); err != nil {
			t.Error(err)
		}
	})
}

func TestLoadWarnsOfUnsetVariables(t *testing.T) {
	enter(t, map[string]string{"compose.yaml": "services:\n  web:\n    command: a $A ${A} ${B} ${C:-c} ${D-} $$E\n    user: ${B}\n"})
	var lines []string
	project, err := Load(t.Context(), Options{Environment: []string{}, Warn: func(line string) { lines = append(lines, line) }})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(lines)
	want := []string{"the variable A is not set; it is replaced by nothing", "the variable B is not set; it is replaced by nothing"}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := strings.Join(project.Services["web"].Command, " "); got != "a c $E" {
		t.Errorf("command: %q", got)
	}
}

func TestLoadCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Load(ctx, Options{Files: []string{"testdata/bad/empty.yaml"}})
	if !errors.Is(err, context.Canceled) || IsInputError(err) {
		t.Errorf("got %v", err)
	}
}

// TestPlaceholder: no image is left behind, in disabled services either, and a
// real one stays.
func TestPlaceholder(t *testing.T) {
	enter(t, map[string]string{"compose.yaml": "services:\n  web:\n    command: a\n  off:\n    command: b\n    profiles: [p]\n  db:\n    image: redis\n"})
	project, err := Load(t.Context(), Options{Environment: []string{}})
	if err != nil {
		t.Fatal(err)
	}
	images := map[string]string{}
	for name, s := range project.AllServices() {
		images[name] = s.Image
	}
	want := map[string]string{"web": "", "off": "", "db": "redis"}
	if !maps.Equal(images, want) {
		t.Errorf("got %v, want %v", images, want)
	}
}
