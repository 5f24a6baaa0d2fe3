package e2e

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// programs are what runs of each instance: a process, or a container and the process
// in it.
func (s snapshot) programs() map[string]string {
	all := map[string]string{}
	for _, i := range s.Instances {
		if i.State != "exited" {
			all[i.Instance] = fmt.Sprint(i.PID, i.ContainerID)
		}
	}
	return all
}

// upAgain brings the project up with other files, and waits until all is ready.
func (p *project) upAgain(args ...string) snapshot {
	p.t.Helper()
	p.exec(append([]string{"up", "-d"}, args...)...).want(0)
	return p.until(func(s snapshot) error {
		for _, i := range s.Instances {
			if i.State != "ready" {
				return fmt.Errorf("%s is %s", i.Instance, i.State)
			}
		}
		return nil
	})
}

// A second `up` changes what differs, and nothing else.
func TestE2EUpAgain(t *testing.T) {
	t.Parallel()
	eachRuntime(t, func(t *testing.T, w runtime) {
		const a, a2 = `
  a: {command: [TOOLS/server], expose: ["7000"], environment: {X: "1"}}`, `
  a: {command: [TOOLS/server], expose: ["7000"], environment: {X: "2"}}`
		const b = `
  b: {command: [TOOLS/server], expose: ["7000"]}`
		const c, d = `
  c: {command: [TOOLS/server], expose: ["7000"]}`, `
  d: {command: [TOOLS/server], expose: ["7000"]}`
		p := w.project(t, a+b+c)
		p.upDetached()
		s := p.upAgain()
		for _, step := range []struct {
			name     string
			services string
			args     string
			want     string // other programs than before; + new ones, - none any more
		}{
			{"nothing", a + b + c, "", ""},
			{"another environment", a2 + b + c, "", "a-1"},
			{"a service less", a2 + b, "", ""},
			{"one more", a2 + b + d, "", "+d-1"},
			{"scaled up", a2 + b + d, "--scale b=3", "+b-2 +b-3"},
			{"scaled down", a2 + b + d, "--scale b=1", "-b-2 -b-3"},
			{"without orphans", a2 + b + d, "--remove-orphans", "-c-1"},
			{"one is named", a + b + d, "a", "a-1"},
			{"all anew", a + b + d, "--force-recreate", "a-1 b-1 d-1"},
		} {
			w.write(p, step.services)
			was := s.programs()
			s = p.upAgain(strings.Fields(step.args)...)
			if got := difference(was, s.programs()); got != step.want {
				t.Errorf("%s: changed are %q, want %q", step.name, got, step.want)
			}
			if s.Life != 1 {
				t.Errorf("%s: it is life %d", step.name, s.Life)
			}
		}
	})
}

// difference tells which programs are others, new, and gone.
func difference(was, is map[string]string) string {
	var all []string
	for name := range is {
		switch was[name] {
		case is[name]:
		case "":
			all = append(all, "+"+name)
		default:
			all = append(all, name)
		}
	}
	for name := range was {
		if is[name] == "" {
			all = append(all, "-"+name)
		}
	}
	slices.SortFunc(all, func(a, b string) int { return cmp.Compare(strings.TrimLeft(a, "+-"), strings.TrimLeft(b, "+-")) })
	return strings.Join(all, " ")
}

// A crash during a second `up` changes nothing of what that does.
func TestE2EUpAgainCrash(t *testing.T) {
	t.Parallel()
	eachRuntime(t, func(t *testing.T, w runtime) {
		service := func(name string, x int) string {
			return fmt.Sprintf("\n  %s: {command: [TOOLS/server], expose: [\"7000\"], environment: {X: \"%d\"}}", name, x)
		}
		p := w.project(t, service("a", 0)+service("b", 0))
		p.upDetached()
		s := p.upAgain()
		for x := range w.rounds() {
			was := s.programs()
			w.write(p, service("a", x+1)+service("b", 0))
			crashes := make(chan []crash, 1)
			go func() { crashes <- p.crashOften(3, crashGap) }()
			p.exec("up", "-d").want(0)
			<-crashes
			s = p.upAgain()
			if got := difference(was, s.programs()); got != "a-1" {
				t.Errorf("round %d: changed are %q, want a-1; they were %v", x, got, slices.Sorted(maps.Keys(was)))
			}
		}
	})
}
