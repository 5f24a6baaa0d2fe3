package compose

import (
	"strings"
	"testing"
)

// TestLoadErrors are the errors that take more than one file, or none.
func TestLoadErrors(t *testing.T) {
	const web = "services:\n  web:\n    command: web\n"
	cases := []struct {
		name    string
		files   map[string]string
		options Options
		want    string
	}{
		{
			name: "no file", options: Options{ProjectDir: "/dev"},
			want: "no compose file found: looked for compose.yaml, compose.yml, docker-compose.yml, docker-compose.yaml in /dev and its parents (name one with -f)",
		},
		{name: "missing file", options: Options{Files: []string{"sub/no.yaml"}}, want: "sub/no.yaml: no such file or directory"},
		{name: "folder", files: map[string]string{"sub/x": ""}, options: Options{Files: []string{"sub"}}, want: "sub: is a directory"},
		{
			name: "COMPOSE_FILE", options: Options{Environment: []string{"COMPOSE_FILE=no.yaml"}},
			want: "no.yaml: no such file or directory (named by COMPOSE_FILE)",
		},
		{name: "no stdin", options: Options{Files: []string{"-"}}, want: "stdin: there is no standard input to read"},
		{name: "bad stdin", options: Options{Files: []string{"-"}, Stdin: strings.NewReader(web + "    foo: 1\n")}, want: "stdin:4: services.web.foo: unknown key"},
		{name: "--env-file", files: map[string]string{"compose.yaml": web}, options: Options{EnvFiles: []string{"no.env"}}, want: "no.env: no such file or directory"},
		{name: ".env syntax", files: map[string]string{"compose.yaml": web, ".env": "A=1\nB C\n"}, want: ".env: line 2: key cannot contain a space"},
		{
			name: "COMPOSE_DISABLE_ENV_FILE", files: map[string]string{"compose.yaml": web}, options: Options{Environment: []string{"COMPOSE_DISABLE_ENV_FILE=perhaps"}},
			want: `COMPOSE_DISABLE_ENV_FILE: "perhaps" is neither true nor false`,
		},
		{
			name: "name", files: map[string]string{"compose.yaml": web}, options: Options{Name: "My Shop"},
			want: `invalid project name "My Shop": must consist only of lowercase alphanumeric characters, hyphens, and underscores as well as start with a letter or number`,
		},
		{name: "service", files: map[string]string{"compose.yaml": web}, options: Options{Services: []string{"db"}}, want: "no such service: db (services: web)"},
		{
			name: "second file", files: map[string]string{"a.yaml": web, "b.yaml": "services:\n  web:\n    foo: 1\n"}, options: Options{Files: []string{"a.yaml", "b.yaml"}},
			want: "b.yaml:3: services.web.foo: unknown key",
		},
		{
			name: "x-upall of the first file", files: map[string]string{"a.yaml": web + "    x-upall: {hodl: 1}\n", "b.yaml": web}, options: Options{Files: []string{"a.yaml", "b.yaml"}},
			want: "a.yaml:4: services.web.x-upall.hodl: unknown key (known: gates, hold, hold_timeout, io_uring, ready, runtime)",
		},
		{
			name: "variable of the first file", files: map[string]string{"a.yaml": web + "    user: ${U:?who}\n", "b.yaml": web + "    user: root\n"}, options: Options{Files: []string{"a.yaml", "b.yaml"}},
			want: "a.yaml:4: services.web.user: required variable U is missing a value: who",
		},
		{
			name: "included file", files: map[string]string{"compose.yaml": "include: [sub/compose.yaml]\n" + web, "sub/compose.yaml": "services:\n  db:\n    comand: db\n"},
			want: "sub/compose.yaml:3: services.db.comand: unknown key",
		},
		{
			name: "included network", files: map[string]string{"compose.yaml": "include: [sub/compose.yaml]\n" + web, "sub/compose.yaml": "services:\n  db:\n    command: db\n    networks: [back]\n"},
			want: `sub/compose.yaml:4: services.db.networks.back: service "db" refers to undefined network back`,
		},
		{
			name: "included syntax", files: map[string]string{"compose.yaml": "include: [sub/compose.yaml]\n" + web, "sub/compose.yaml": "services: [\n"},
			want: "sub/compose.yaml:2: did not find expected node content (while parsing a flow node)",
		},
		{
			name: "include cycle", files: map[string]string{"compose.yaml": "include: [b.yaml]\n" + web, "b.yaml": "include: [compose.yaml]\n"},
			want: "b.yaml:1: include: cycle: compose.yaml include b.yaml include compose.yaml",
		},
		{
			name: "extended service", files: map[string]string{"compose.yaml": "services:\n  web:\n    extends: {file: base.yaml, service: base}\n", "base.yaml": "services:\n  other:\n    command: a\n"},
			want: `compose.yaml:3: services.web.extends: cannot extend service "web" in compose.yaml: service "base" not found in base.yaml`,
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			enter(t, c.files)
			if c.options.Environment == nil {
				c.options.Environment = []string{}
			}
			_, err := Load(t.Context(), c.options)
			if !IsInputError(err) || err.Error() != c.want {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}
