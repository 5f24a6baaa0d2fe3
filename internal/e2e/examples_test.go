package e2e

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"upall/internal/event"
	"upall/internal/testenv"
)

// exampleTests is the test of each example.
var exampleTests = map[string]func(t *testing.T){
	"quickstart": testQuickstart,
	"servers":    testServers,
	"stack":      testStack,
}

func TestE2EExamples(t *testing.T) {
	t.Parallel()
	folders, err := os.ReadDir("../../examples")
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range folders {
		if !folder.IsDir() {
			continue
		}
		t.Run(folder.Name(), func(t *testing.T) {
			t.Parallel()
			test, ok := exampleTests[folder.Name()]
			if !ok {
				t.Fatal("this example has no test")
			}
			test(t)
		})
	}
}

// quickstartRuns is how many times in a row the quickstart has to work.
const quickstartRuns = 10

// The quickstart comes up every time, though each of its services gives up at
// the first refused connect.
func testQuickstart(t *testing.T) {
	testenv.NeedProgram(t, "node")
	runs := quickstartRuns
	if testing.Short() {
		runs = 2
	}
	for i := range runs {
		t.Run(fmt.Sprint("run", i+1), func(t *testing.T) {
			t.Parallel()
			users(t, comesUp)
		})
	}
	t.Run("without", func(t *testing.T) {
		t.Parallel()
		users(t, failsWithout)
	})
}

func comesUp(t *testing.T, user testenv.User) {
	r := exampleProject(t, user, "quickstart").up("--exit-code-from", "check")
	if code := r.waitExit("check"); code != 0 {
		t.Errorf("check ended with code %d, want 0", code)
	}
	if code := r.end(); code != 0 {
		t.Errorf("upall ended with code %d, want 0", code)
	}
	if said := r.output("check"); !strings.Contains(said, "web says: hello from kv") {
		t.Errorf("check said %q, want the answer of web", said)
	}
	if len(r.all(holdEnded("api", "kv"))) == 0 {
		t.Error("the connect of api to kv was not held")
	}
}

// failsWithout is the control: without the interceptor the same services fail.
func failsWithout(t *testing.T, user testenv.User) {
	r := exampleProject(t, user, "quickstart").upEnv([]string{"UPALL_INTERCEPT=off"}, "--exit-code-from", "check")
	if code := r.end(); code == 0 {
		t.Error("upall ended with code 0 without the interceptor, want the failure of check")
	}
	if said := r.output("check"); !strings.Contains(said, "Connection refused") {
		t.Errorf("check said %q, want a refused connect", said)
	}
}

// PostgreSQL, Redis and nginx of the distribution serve clients that connect
// once; Ctrl-C ends them; a second run finds their data.
func testServers(t *testing.T) {
	for _, program := range []string{"postgres", "redis-server", "redis-cli", "nginx", "psql", "curl"} {
		testenv.NeedProgram(t, program)
	}
	users(t, func(t *testing.T, user testenv.User) {
		p := exampleProject(t, user, "servers")
		for _, starts := range []string{"1", "2"} {
			r := p.up()
			for service, want := range map[string]string{
				"psql":      "PostgreSQL ",
				"redis-cli": starts,
				"curl":      "redis says PONG, postgres says 42",
			} {
				if code := r.waitExit(service); code != 0 {
					t.Errorf("%s ended with code %d, want 0", service, code)
				}
				if said := r.output(service); !strings.Contains(said, want) {
					t.Errorf("%s said %q, want %q", service, said, want)
				}
			}
			if code := r.interrupt(); code != 130 {
				t.Errorf("upall ended with code %d after an interrupt, want 130", code)
			}
			p.nothingLeft(stopPatience)
		}
	})
}

// Services that listen on the same port number each have an address of their
// own, and every name resolves to its service's address.
func TestE2ESamePort(t *testing.T) {
	t.Parallel()
	users(t, func(t *testing.T, user testenv.User) {
		p := newProject(t, user, `
  left:  {command: [TOOLS/server, -port, "8080"]}
  right: {command: [TOOLS/server, -port, "8080"]}
  names: {command: [getent, ahostsv4, left, right]}
  to-left:  {command: [TOOLS/goclient, left, "8080"]}
  to-right: {command: [TOOLS/goclient, right, "8080"]}
`)
		r := p.up()
		for _, service := range []string{"names", "to-left", "to-right"} {
			if code := r.waitExit(service); code != 0 {
				t.Errorf("%s ended with code %d, want 0: %s", service, code, r.output(service))
			}
		}
		addresses := make(map[string]bool)
		for text := range strings.FieldsSeq(r.output("names")) {
			if ip := net.ParseIP(text); ip != nil && ip.IsLoopback() {
				addresses[text] = true
			}
		}
		if len(addresses) != 2 {
			t.Errorf("left and right have the addresses %v, want two", addresses)
		}
		for _, e := range r.waitN(2, "both listeners", ofType(event.Listening)) {
			if e.Port != 8080 {
				t.Errorf("%s listens on %d, want 8080", e.Service, e.Port)
			}
		}
	})
}
