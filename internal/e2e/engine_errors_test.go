package e2e

import (
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"upall/internal/testenv"
)

// engineError is a project that cannot come up.
type engineError struct {
	name string
	file string
	code int
	want []string // words of the one line that says why
}

var engineErrors = []engineError{
	{"image missing", `
services:
  web: {image: "upall-test/no-such-image:1", pull_policy: never}
`, 1, []string{"web", "upall-test/no-such-image:1"}},
	{"image cannot be pulled", `
services:
  web: {image: "127.0.0.1:1/no-such-image:1"}
`, 1, []string{"web", "127.0.0.1:1/no-such-image"}},
	{"profile missing", `
services:
  web: {BOX, command: [sleep, "1"], security_opt: ["seccomp=HERE/no-such.json"]}
`, 1, []string{"no-such.json", "no such file"}},
	{"profile invalid", `
services:
  web: {BOX, command: [sleep, "1"], security_opt: ["seccomp=HERE/bad.json"]}
`, 1, []string{"bad.json", "JSON"}},
	{"subnet too small", `
services:
  a: {BOX, command: [sleep, "1"]}
  b: {BOX, command: [sleep, "1"]}
  c: {BOX, command: [sleep, "1"]}
networks: {default: {ipam: {config: [{subnet: SUBNET.0/30}]}}}
`, 2, []string{"compose.yaml:6: networks.default", "SUBNET.0/30", "no free address"}},
	{"subnet taken", `
services:
  a: {BOX, command: [sleep, "1"], networks: [default, other]}
networks:
  default: {ipam: {config: [{subnet: SUBNET.0/24}]}}
  other:   {ipam: {config: [{subnet: SUBNET.0/25}]}}
`, 1, []string{"verlap"}},
	{"container name taken", `
services:
  web: {BOX, container_name: NAME-taken, command: [sleep, "1"]}
`, 1, []string{"web", "NAME-taken"}},
	{"port taken", `
services:
  web: {BOX, command: [sleep, "1"], ports: ["127.0.0.1:PORT:7000"]}
`, 1, []string{"web", "PORT"}},
	{"secret missing", `
services:
  web: {BOX, command: [sleep, "1"], secrets: [key]}
secrets: {key: {file: HERE/no-such-secret}}
`, 1, []string{"web", "no-such-secret"}},
	{"config missing", `
services:
  web: {BOX, command: [sleep, "1"], configs: [settings]}
configs: {settings: {file: HERE/no-such-config}}
`, 1, []string{"web", "no-such-config"}},
	{"bind source missing", `
services:
  web: {BOX2, command: [sleep, "1"], volumes: [{type: bind, source: HERE/no-such-folder, target: /data, bind: {create_host_path: false}}]}
`, 1, []string{"web", "no-such-folder"}},
	{"external network missing", `
services:
  web: {BOX, command: [sleep, "1"]}
networks: {default: {name: NAME-nowhere, external: true}}
`, 1, []string{"NAME-nowhere"}},
	{"external volume missing", `
services:
  web: {BOX2, command: [sleep, "1"], volumes: ["data:/data"]}
volumes: {data: {name: NAME-nowhere, external: true}}
`, 1, []string{"NAME-nowhere"}},
}

// What the engine cannot do is said in one line, with the service and the cause,
// and what was made before is gone after down.
func TestE2EEngineErrors(t *testing.T) {
	t.Parallel()
	forEngines(t, func(t *testing.T, e testenv.Engine) {
		for _, test := range engineErrors {
			t.Run(test.name, func(t *testing.T) {
				t.Parallel()
				test.run(t, e)
			})
		}
	})
}

func (x engineError) run(t *testing.T, e testenv.Engine) {
	port := takePort(t)
	subnet := newSubnet()
	replace := strings.NewReplacer("PORT", port, "SUBNET", subnet)
	p := newPodOf(t, e, replace.Replace(x.file))
	p.write("bad.json", `{"defaultAction": `)
	if strings.Contains(x.file, "NAME-taken") {
		p.docker("create", "--name", p.name+"-taken", "--label", "com.docker.compose.project="+p.name, "upall-test/busybox:1")
		t.Cleanup(func() { _ = afterTest(p.dockerCommand("rm", p.name+"-taken")).Run() }) // takeDown comes after it
	}
	out := p.run("up")
	out.want(x.code)
	words := strings.Split(strings.NewReplacer("NAME", p.name, "PORT", port, "SUBNET", subnet).Replace(strings.Join(x.want, "\n")), "\n")
	if problem := oneLine(ownLines(out.stderr), "", words); problem != "" {
		t.Errorf("%s\nstderr: %s", problem, out.stderr)
	}
}

// A command that the image does not have is said by the engine, or by the shim
// where the engine is so old that it needs one.
func TestE2EEngineCommandNotFound(t *testing.T) {
	t.Parallel()
	forAnEngine(t, func(t *testing.T, e testenv.Engine) {
		p := newPod(t, e, `
  web: {BOX, command: [no-such-program]}
`)
		out := p.run("up", "--no-color").says("web-1", `exec: "no-such-program": executable file not found in $PATH`)
		if out.code != 1 && out.code != 127 {
			t.Errorf("exit code %d, want 1 or 127", out.code)
		}
	})
}

// takePort returns a port of the host that is in use until the test ends.
func takePort(t *testing.T) string {
	t.Helper()
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := taken.Close(); err != nil {
			t.Errorf("close the port: %v", err)
		}
	})
	_, port, err := net.SplitHostPort(taken.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// freePort returns a port of the host that nobody used a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	free, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(free.Addr().String())
	if err := errors.Join(err, free.Close()); err != nil {
		t.Fatal(err)
	}
	return port
}

// ownLines leaves out the progress that Compose shows, warnings, and the summary
// of holds.
func ownLines(stderr string) string {
	var own strings.Builder
	for line := range strings.Lines(stderr) {
		if strings.HasPrefix(line, "upall: ") && !strings.HasPrefix(line, "upall: warning: ") {
			own.WriteString(line)
		}
	}
	return own.String()
}

// Without an engine, or one that may be used, upall says what to do.
func TestE2EEngineUnreachable(t *testing.T) {
	t.Parallel()
	forAnEngine(t, func(t *testing.T, e testenv.Engine) {
		file := "services: {web: {image: \"upall-test/busybox:1\", command: [sleep, \"1\"]}}\n"
		t.Run("missing", func(t *testing.T) {
			t.Parallel()
			host := "unix://" + filepath.Join(t.TempDir(), "none")
			engineRefused(t, root(t), host, file, host, "does not run there", "start it, or set DOCKER_HOST")
		})
		t.Run("not allowed", func(t *testing.T) {
			t.Parallel()
			engineRefused(t, testenv.OrdinaryUser(t), e.Host, file, e.Host, "permission denied", "run upall as root, or join the group docker")
		})
	})
}

func engineRefused(t *testing.T, user testenv.User, host, file string, words ...string) {
	t.Helper()
	p := emptyProject(t, user)
	p.env = append(p.env, "DOCKER_HOST="+host)
	p.write("compose.yaml", file)
	c := &pod{project: p}
	for _, args := range [][]string{{"up"}, {"up", "-d"}, {"ps"}} {
		out := c.run(args...).want(1)
		if problem := oneLine(out.stderr, "", words); problem != "" {
			t.Errorf("%v: %s", args, problem)
		}
	}
	if state := filepath.Join("/run/upall", p.name); exists(state) {
		t.Errorf("left behind: %s", state)
	}
}
