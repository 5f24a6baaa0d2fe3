package process

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"upall/compose"
	"upall/intercept"
	"upall/intercept/registry"
	"upall/internal/event"
	"upall/internal/testenv"
	"upall/supervisor/health"
)

// lab runs the processes of a plan behind an interceptor.
type lab struct {
	*Runtime
	t           testing.TB
	interceptor *intercept.Interceptor
	metadata    map[string]string // by instance
}

// newLab opens the runtime and the interceptor of services of one instance each.
func newLab(t testing.TB, services ...compose.Service) *lab {
	t.Helper()
	base, err := os.MkdirTemp("", "upall-") // a short name: the path of a unix socket is limited
	if err != nil {
		t.Fatal(err)
	}
	state, err := OpenState(base, "probes", os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{t: t, metadata: map[string]string{}}
	l.interceptor, err = intercept.Open(t.Context(), intercept.Options{
		Socket: state.Socket(), Emit: func(event.Event) {}, Logger: slog.New(slog.DiscardHandler), HoldTimeout: time.Minute,
	})
	testenv.Need(t, err == nil, fmt.Sprintf("an interceptor (%v)", err))
	t.Cleanup(func() {
		if err := errors.Join(l.interceptor.Close(), state.Close()); err != nil {
			t.Error(err)
		}
	})
	addr := state.Prefix.Addr().Next()
	for n := range services {
		s := &services[n]
		addr = addr.Next()
		i := compose.Instance{Name: s.Name + "-1", Index: 1, Addr: addr}
		addr = addr.Next()
		i.Addr2 = addr
		s.Runtime, s.Names, s.Dir, s.Instances = compose.Process, []string{s.Name}, "/", []compose.Instance{i}
		in := intercept.Instance{
			Instance: registry.Instance{Name: i.Name, Service: s.Name, HoldTimeout: time.Minute},
			Rewrite:  true, Second: i.Addr2,
		}
		in.Addrs = append(in.Addrs, i.Addr)
		for _, p := range s.Ports {
			in.Ports = append(in.Ports, p.Number)
		}
		l.metadata[i.Name] = l.interceptor.Add(in)
	}
	l.Runtime, err = Open(Config{
		Plan: &compose.Plan{Name: "probes", Services: services}, State: state, Env: os.Environ(),
		Logger: slog.New(slog.DiscardHandler), Intercept: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *lab) launch(n int) Launch {
	s := &l.Plan.Services[n]
	i := s.Instances[0]
	return Launch{Service: s, Instance: i, Socket: l.State.Socket(), Metadata: l.metadata[i.Name], Output: func(string, string) {}}
}

// start starts a service, which is killed when the test ends.
func (l *lab) start(n int) {
	l.t.Helper()
	program, err := l.Start(l.launch(n))
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() {
		if err := program.Kill(); err != nil {
			l.t.Error(err)
		}
		program.Wait()
	})
}

func (l *lab) probe(n int, h compose.Healthcheck) (code int, output string) {
	l.t.Helper()
	r := l.Probe(l.t.Context(), l.launch(n), h)
	if r.Err != "" {
		l.t.Errorf("probe: %s", r.Err)
	}
	return r.Code, r.Output
}

func shell(script string) compose.Healthcheck { return compose.Healthcheck{Shell: script} }

// TestProbe: what a healthcheck is given, and what comes out of it.
func TestProbe(t *testing.T) {
	l := newLab(t, compose.Service{Name: "web", Command: []string{"sleep", "1000"}, Env: []string{"COLOUR=blue"}})
	for _, test := range []struct {
		name  string
		check compose.Healthcheck
		code  int
		want  string
	}{
		{"success", compose.Healthcheck{Test: []string{"true"}}, 0, ""},
		{"failure", compose.Healthcheck{Test: []string{"sh", "-c", "exit 7"}}, 7, ""},
		{"a shell", shell("echo to stdout | cat; exit 3"), 3, "to stdout\n"},
		{"errors are output", shell("echo to stderr >&2"), 0, "to stderr\n"},
		{"a signal", shell("kill -TERM $$"), 143, ""},
		{"no such program", compose.Healthcheck{Test: []string{"no-such-program"}}, 127, "upall: no-such-program: No such file or directory\n"},
		{"no input", shell("wc -c"), 0, "0\n"},
		{"environment", shell("echo $COLOUR $UPALL_PROJECT $UPALL_INSTANCE"), 0, "blue probes web-1\n"},
		{"directory", shell("pwd"), 0, "/\n"},
		{"names", shell("getent hosts web | cut -d. -f1"), 0, "127\n"},
		{"user", shell("id -u"), 0, fmt.Sprintln(os.Geteuid())},
		{"a lot of output", shell("yes 123456789 | head -n 100000; echo end"), 0, strings.Repeat("123456789\n", 10) + "end\n"},
		{"a daemon", shell("sleep 1000 & setsid sleep 1001 & echo started"), 0, "started\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			l.t = t
			code, output := l.probe(0, test.check)
			if len(output) > health.MaxOutput {
				t.Errorf("%d bytes of output", len(output))
			}
			if code != test.code || !strings.HasSuffix(output, tail(test.want)) || test.want == "" && output != "" {
				t.Errorf("exit code %d and output %q, want %d and %q", code, tail(output), test.code, tail(test.want))
			}
		})
	}
}

// tail shortens what a test prints.
func tail(text string) string { return text[max(0, len(text)-100):] }

// TestProbeUser: a healthcheck is run by the user of its service.
func TestProbeUser(t *testing.T) {
	testenv.NeedRoot(t)
	u := testenv.OrdinaryUser(t)
	l := newLab(t, compose.Service{Name: "web", Command: []string{"true"}, User: u.Name})
	if _, output := l.probe(0, shell("id -u; id -g; echo $HOME")); output != fmt.Sprintf("%d\n%d\n%s\n", u.UID, u.GID, u.Home) {
		t.Errorf("output is %q, want user %+v", output, u)
	}
}

// TestProbeUnknownUser cannot be made, which says nothing of the instance.
func TestProbeUnknownUser(t *testing.T) {
	l := newLab(t, compose.Service{Name: "web", Command: []string{"true"}, User: "no-such-user"})
	r := l.Probe(t.Context(), l.launch(0), shell("true"))
	if r.Err == "" || r.Code != noCode {
		t.Errorf("the result is %+v, want an error", r)
	}
}

// TestProbeRedis: localhost is the instance's own, for its healthcheck too. Two
// instances with the same port tell so.
func TestProbeRedis(t *testing.T) {
	server, client := testenv.NeedProgram(t, "redis-server"), testenv.NeedProgram(t, "redis-cli")
	redis := func(name string) compose.Service {
		return compose.Service{
			Name: name, Command: []string{server, "--port", "6379", "--save", ""},
			Ports: []compose.Port{{Number: 6379, Protocol: "tcp"}},
		}
	}
	l := newLab(t, redis("one"), redis("two"))
	ping := compose.Healthcheck{Test: []string{client, "ping"}}
	if code, output := l.probe(0, ping); code == 0 {
		t.Errorf("a server that does not run answers %q", output)
	}
	for n, name := range []string{"one", "two"} {
		l.start(n)
		testenv.Eventually(t, 10*time.Second, func() error {
			if code, output := l.probe(n, ping); code != 0 || output != "PONG\n" {
				return fmt.Errorf("ping of %s: exit code %d, output %q", name, code, output)
			}
			return nil
		})
		if code, output := l.probe(n, compose.Healthcheck{Test: []string{client, "set", "who", name}}); code != 0 {
			t.Errorf("set: %q", output)
		}
	}
	for n, want := range []string{"one\n", "two\n"} {
		if code, output := l.probe(n, shell(client+" get who")); code != 0 || output != want {
			t.Errorf("the healthcheck of %s reaches %q, exit code %d", strings.TrimSpace(want), output, code)
		}
	}
}

// TestProbeTimeout: nothing is left of a healthcheck that lasts too long.
func TestProbeTimeout(t *testing.T) {
	mark := "MARK=" + t.Name()
	l := newLab(t, compose.Service{Name: "web", Command: []string{"true"}, Env: []string{mark}})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	result := make(chan string, 1)
	go func() {
		r := l.Probe(ctx, l.launch(0), shell(`trap "" TERM INT HUP`+daemons+"sleep 1004"))
		result <- fmt.Sprint(r.Code, r.Output, r.Err)
	}()
	testenv.Eventually(t, 10*time.Second, func() error {
		commands := marked(mark)
		for _, want := range []string{"sleep 1000 ", "sleep 1001 ", "sleep 1002 ", "sleep 1004 "} {
			if !slices.Contains(commands, want) {
				return fmt.Errorf("%q does not run, but %q", want, commands)
			}
		}
		return nil
	})
	cancel()
	if got := <-result; got != "137ready\n" {
		t.Errorf("the result is %q", got)
	}
	if left := marked(mark); len(left) > 0 {
		t.Errorf("left running: %v", left)
	}
}

// TestProbeAfterEnd: a healthcheck that comes late is no new run of the instance,
// for which others would wait.
func TestProbeAfterEnd(t *testing.T) {
	client := testenv.NeedProgram(t, "redis-cli")
	l := newLab(t,
		compose.Service{Name: "db", Command: []string{"true"}, Ports: []compose.Port{{Number: 6379, Protocol: "tcp"}}},
		compose.Service{Name: "web", Command: []string{"true"}})
	l.interceptor.Started("db-1")
	l.interceptor.Ended("db-1", 1, true)
	if code, output := l.probe(0, shell("true")); code != 0 {
		t.Fatalf("exit code %d, output %q", code, output)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	r := l.Probe(ctx, l.launch(1), shell(client+" -h db ping"))
	if ctx.Err() != nil || !strings.Contains(r.Output, "refused") {
		t.Errorf("a connect to what has ended gives %+v, want one that is refused at once", r)
	}
}

// TestProbeTooLate: a context that has ended before the probe begins ends it.
func TestProbeTooLate(t *testing.T) {
	l := newLab(t, compose.Service{Name: "web", Command: []string{"true"}})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r := l.Probe(ctx, l.launch(0), shell("sleep 1000")); r.Code == 0 {
		t.Errorf("the result is %+v", r)
	}
}

// TestProbeOrdinaryUser runs tests again without any privilege.
func TestProbeOrdinaryUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("the tests run as an ordinary user already")
	}
	user := testenv.OrdinaryUser(t)
	command := user.Command(t, user.Install(t, "/proc/self/exe"), "-test.v", "-test.run", "^TestProbe(|UnknownUser|Redis|Timeout|AfterEnd|TooLate)$")
	out, err := command.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestProbeRedis") {
		t.Errorf("as %s: %v\n%s", user.Name, err, out)
	}
}
