package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"upall/internal/testenv"
)

// agentPod is a project of a user who is not root and may command the engine, so
// that its supervisor is in a container.
type agentPod struct{ *pod }

// newAgentPod writes a compose file with services. Holds last for as long as the test.
func newAgentPod(t *testing.T, e testenv.Engine, services string) *agentPod {
	t.Helper()
	p := agentPodIn(emptyProject(t, dockerUser(t)), e)
	p.write("compose.yaml", p.expandBox(agentHeader+services))
	return p
}

const agentHeader = "x-upall: {hold_timeout: 1h}\nservices:\n"

// dockerUser is a user who may command engines.
func dockerUser(t *testing.T) testenv.User {
	t.Helper()
	return testenv.UserIn(t, "docker")
}

// agentPodIn lets a project of such a user run on an engine.
func agentPodIn(p *project, e testenv.Engine) *agentPod {
	p.t.Helper()
	a := &agentPod{}
	p.t.Cleanup(func() { a.leavesNothing() }) // after all is taken down
	a.pod = podIn(p, e)
	p.t.Cleanup(func() {
		if p.t.Failed() {
			a.reportAgent()
		}
	})
	return a
}

// name of the agent's container.
func (p *agentPod) agent() string { return p.name + "-upall-agent" }

// leavesNothing wants nothing of the project where agents have their states, and no
// agent.
func (p *agentPod) leavesNothing() {
	p.t.Helper()
	files, err := filepath.Glob("/run/upall/" + p.name + "*")
	if err != nil {
		p.t.Error(err)
	}
	left := slices.Concat(files, p.agents())
	own := fmt.Sprintf("/tmp/upall-%d", p.user.UID)
	if entries, err := os.ReadDir(own); err == nil {
		left = append(left, fmt.Sprintf("%s %v", own, entries))
	}
	if len(left) > 0 {
		p.t.Errorf("left behind: %s", strings.Join(left, ", "))
	}
	for _, path := range append(files, own) {
		if err := os.RemoveAll(path); err != nil {
			p.t.Error(err)
		}
	}
}

// agents are the names of the project's agents, whatever their states.
func (p *agentPod) agents() []string {
	p.t.Helper()
	out, err := afterTest(p.dockerCommand("ps", "--all", "--filter", "label=dev.upall.agent="+p.name, "--format", "{{.Names}}")).Output()
	if err != nil {
		p.t.Errorf("look for agents: %v", err)
	}
	return strings.Fields(string(out))
}

// reportAgent logs what a failed test leaves.
func (p *agentPod) reportAgent() {
	p.t.Helper()
	out, err := afterTest(p.dockerCommand("logs", p.agent())).CombinedOutput()
	p.t.Logf("the agent's output: %v\n%s", err, tail(string(out)))
	log, err := os.ReadFile(filepath.Join("/run/upall", p.name, "private", "log"))
	p.t.Logf("the supervisor's log: %v\n%s", err, tail(string(log)))
	ps, err := afterTest(p.command("ps", "-a")).CombinedOutput()
	p.t.Logf("ps: %v\n%s", err, tail(string(ps)))
}

// control is a client of the agent's control API: root may use it too.
func (p *agentPod) control() *http.Client {
	path := filepath.Join("/run/upall", p.name, "control.sock")
	var d net.Dialer
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return d.DialContext(ctx, "unix", path)
	}}
	return &http.Client{Transport: transport, Timeout: patience}
}

// snapshot asks the supervisor. It may be gone.
func (p *agentPod) snapshot() (s snapshot, err error) {
	answer, err := p.control().Get("http://upall/v1/project")
	if err != nil {
		return s, err
	}
	err = json.NewDecoder(answer.Body).Decode(&s)
	return s, errors.Join(err, answer.Body.Close())
}

// until waits until the supervisor says what is asked for.
func (p *agentPod) until(fact func(s snapshot) error) {
	p.t.Helper()
	testenv.Eventually(p.t, patience, func() error {
		s, err := p.snapshot()
		if err != nil {
			return err
		}
		return fact(s)
	})
}

// clientWaits waits until the connect of the service client to server:7000 is held.
func (p *agentPod) clientWaits() {
	p.t.Helper()
	p.until(func(s snapshot) error {
		for _, hold := range s.Holds {
			var h struct {
				Instance, Target string
				Port             int
			}
			if err := json.Unmarshal(hold, &h); err != nil {
				return err
			}
			if h.Instance == "client-1" && h.Target == "server" && h.Port == 7000 {
				return nil
			}
		}
		return fmt.Errorf("the client does not wait for the server: %s", s.Holds)
	})
}

// are waits until services are in a state.
func (p *agentPod) are(state string, services ...string) {
	p.t.Helper()
	p.until(func(s snapshot) error {
		for _, name := range services {
			if err := s.is(name, state); err != nil {
				return err
			}
		}
		return nil
	})
}

// is says what the service is if it is not in the state, or has failed in it.
func (s snapshot) is(service, state string) error {
	for _, i := range s.Instances {
		if i.Service == service && (i.State != state || i.Code != 0) {
			return fmt.Errorf("%s is %s with code %d, want %s", i.Instance, i.State, i.Code, state)
		}
		if i.Service == service {
			return nil
		}
	}
	return fmt.Errorf("there is no %s", service)
}

// down takes the project down without its volumes. Nothing else is left of it, the
// agent included.
func (p *agentPod) down(volumes ...string) {
	p.t.Helper()
	p.run("down", "-t", "1").want(0)
	var want []string
	for _, name := range volumes {
		want = append(want, "volume "+p.name+"_"+name)
	}
	left := slices.Concat(p.left(), p.agents())
	if files, err := filepath.Glob("/run/upall/" + p.name + "*"); err != nil || len(files) > 0 {
		left = append(left, fmt.Sprint(files, err))
	}
	if !slices.Equal(left, want) {
		p.t.Errorf("left behind by down: %q, want %q", left, want)
	}
}
