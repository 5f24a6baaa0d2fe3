package e2e

import (
	"strconv"
	"strings"
	"testing"

	"upall/internal/event"
	"upall/internal/testenv"
)

// stackRuns is how many times in a row the stack has to come up, beside the runs of
// TestE2EEngineGraphStack.
const stackRuns = 6 - graphRuns

// stackPod is examples/stack with the images of the tests.
func stackPod(t *testing.T, e testenv.Engine) *pod {
	t.Helper()
	images := []string{"postgres", "redis", "node", "python", "nginx"}
	testenv.NeedImages(t, e, images...)
	p := podIn(exampleProject(t, root(t), "stack"), e)
	for _, name := range images {
		p.env = append(p.env, strings.ToUpper(name)+"_IMAGE=upall-test/"+name+":1")
	}
	return p
}

// PostgreSQL, Redis, an API, a worker and nginx come up at the first try, though
// the databases are late and nobody waits for them or tries again.
func testStack(t *testing.T) {
	runs := stackRuns
	if testing.Short() {
		runs = 2
	}
	forEngines(t, func(t *testing.T, e testenv.Engine) {
		for i := range runs {
			t.Run("run"+strconv.Itoa(i+1), func(t *testing.T) {
				t.Parallel()
				stackComesUp(t, stackPod(t, e))
			})
		}
		t.Run("without", func(t *testing.T) {
			t.Parallel()
			stackFailsWithout(t, stackPod(t, e))
		})
	})
}

func stackComesUp(t *testing.T, p *pod) {
	r := p.up("--exit-code-from", "check")
	r.allExit("check")
	if code := r.end(); code != 0 {
		t.Errorf("upall ended with code %d, want 0", code)
	}
	r.wait("what postgres and redis hold", said("check", "hello from postgres, counted "))
	for _, target := range []string{"postgres", "redis"} {
		r.wait("the connect of api to "+target, func(e event.Event) bool {
			return e.Type == event.Connected && e.Service == "api" && e.Target == target
		})
		// On a busy machine a database may be up before api is.
		for _, ended := range r.all(holdEnded("api", target)) {
			if ended.End != event.Released || ended.Way != event.Parked {
				t.Errorf("the connect of api to %s was %s and %s (%s), want parked and released", target, ended.Way, ended.End, ended.Cause)
			}
		}
	}
	services := []string{"postgres", "redis", "api", "worker", "nginx", "check"}
	if first := r.wait("an end", exitedAmong(services...)); first.Service != "check" {
		t.Errorf("%s ended before check did, with code %d", first.Service, first.Code)
	}
	for _, service := range services {
		if n := len(r.all(startedAs(service))); n != 1 {
			t.Errorf("%s was started %d times, want once", service, n)
		}
		if n := p.inspect(service+"-1", "{{.RestartCount}}"); n != "0" {
			t.Errorf("the engine restarted %s %s times", service, n)
		}
	}
}

// startedAs is a start of a service's program.
func startedAs(service string) match {
	return func(e event.Event) bool { return e.Type == event.Started && e.Service == service }
}

// stackFailsWithout is the control: Docker Compose starts the same file, and the
// first connects fail.
func stackFailsWithout(t *testing.T, p *pod) {
	p.plainCompose("up", "--detach").want(0)
	for _, service := range []string{"api", "worker", "check"} {
		if code := p.docker("wait", p.name+"-"+service+"-1"); code == "0" {
			t.Errorf("%s ended with code 0 under Docker Compose, want a failure", service)
		}
	}
}
