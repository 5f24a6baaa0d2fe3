package graph

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"upall/compose"
	"upall/internal/event"
	"upall/supervisor/record"
	"upall/supervisor/status"
)

// lines are the edges of a graph, a line each.
func (g *Graph) lines() (all []string) {
	for _, e := range g.Edges {
		arrow := "->"
		if e.Undirected {
			arrow = "--"
		}
		ends := fmt.Sprintf("%s %s %s", e.Client, arrow, e.Target)
		if e.Port != 0 {
			ends = fmt.Sprintf("%s %d", ends, e.Port)
		}
		parts := []string{ends, e.seen(), e.declaration(), string(e.Verdict)}
		all = append(all, strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), "; "))
	}
	return all
}

// states are the nodes of a graph, a line each.
func (g *Graph) states() (all []string) {
	for _, n := range g.Nodes {
		line := strings.Join([]string{n.ID, string(n.Runtime), string(n.Readiness), n.state(g.Runs), n.ports()}, "|")
		all = append(all, strings.TrimRight(line, "|"))
	}
	return all
}

// two is a plan of an api and a db, in which the api declares this of the db.
func two(declared ...compose.Dependency) record.Plan {
	for n := range declared {
		declared[n].Client, declared[n].Target = "api", "db"
	}
	return record.Plan{
		Services:     []record.Service{{Name: "api", Runtime: compose.Engine}, {Name: "db", Runtime: compose.Engine}},
		Dependencies: declared,
	}
}

func on(c compose.Condition) compose.Dependency {
	return compose.Dependency{Kind: compose.DependsOn, Condition: c, Required: true}
}

func kind(k compose.DependencyKind) compose.Dependency { return compose.Dependency{Kind: k} }

func TestEdges(t *testing.T) {
	ready := []status.Status{instance("api", "api-1"), instance("db", "db-1", 5432)}
	with := func(s status.Status, change func(*status.Status)) status.Status {
		change(&s)
		return s
	}
	unused := "api -> db; depends_on; declared but never used"
	udp := two(on(compose.Started))
	udp.Services[1].Ports = []compose.Port{{Number: 53, Protocol: "udp"}}
	fromHost := seen(status.Host, "db", 5432, 1, 0)
	fromHost.FromHost = true
	outside := seen("api", "", 443, 1, 0)
	outside.Address = "192.0.2.7"
	unknown := two(compose.Dependency{Kind: compose.Link})
	unknown.Dependencies[0].Target = "nosuch"

	for _, test := range []struct {
		name      string
		plan      record.Plan
		edges     []status.Edge
		instances []status.Status
		isOver    bool
		want      []string
	}{
		{name: "nothing", plan: two(), instances: ready},
		{name: "it has not run", plan: two(on(compose.Started)), isOver: true, want: []string{"api -> db; depends_on"}},
		{name: "both start", plan: two(on(compose.Started)), want: []string{"api -> db; depends_on"}},
		{name: "declared, never used", plan: two(on(compose.Started)), instances: ready, want: []string{unused}},
		{name: "after the run", plan: two(on(compose.Started)), instances: ready, isOver: true, want: []string{unused}},
		{
			name: "healthy, and a link", plan: two(on(compose.Healthy), kind(compose.Link)), instances: ready,
			want: []string{"api -> db; depends_on (service_healthy), links; declared but never used"},
		},
		{
			name: "optional", plan: two(compose.Dependency{Kind: compose.DependsOn, Condition: compose.Started, Restart: true}), instances: ready,
			want: []string{"api -> db; depends_on (required: false, restart: true); declared but never used"},
		},
		{name: "what Edges declare counts for nothing", plan: two(), edges: []status.Edge{{Client: "api", Target: "db", Declared: true}}, instances: ready},
		{name: "observed", plan: two(), edges: []status.Edge{seen("api", "db", 5432, 1, 1)}, instances: ready, want: []string{"api -> db 5432; 1 connect, held 2.8 s; used but not declared"}},
		{name: "both", plan: two(on(compose.Started)), edges: []status.Edge{seen("api", "db", 5432, 2, 0)}, instances: ready, want: []string{"api -> db 5432; 2 connects; depends_on"}},
		{
			name: "two ports", plan: two(on(compose.Started)), edges: []status.Edge{seen("api", "db", 5433, 2, 0), seen("api", "db", 5432, 2, 0)}, instances: ready,
			want: []string{"api -> db 5432; 2 connects; depends_on", "api -> db 5433; 2 connects; depends_on"},
		},
		{
			name: "the other way round", plan: two(on(compose.Started)), edges: []status.Edge{seen("db", "api", 80, 1, 0)}, instances: ready,
			want: []string{unused, "db -> api 80; 1 connect; used but not declared"},
		},
		{name: "to itself", plan: two(), edges: []status.Edge{seen("db", "db", 5432, 9, 0)}, instances: ready, want: []string{"db -> db 5432; 9 connects"}},

		{name: "a job", plan: two(on(compose.Completed)), instances: ready, want: []string{"api -> db; depends_on (service_completed_successfully)"}},
		{name: "a job that listens", plan: two(on(compose.Completed)), edges: []status.Edge{seen("api", "db", 80, 1, 0)}, instances: ready, want: []string{"api -> db 80; 1 connect; depends_on (service_completed_successfully)"}},
		{name: "a namespace", plan: two(kind(compose.NetworkMode)), instances: ready, want: []string{"api -> db; network_mode"}},
		{name: "a namespace in use", plan: two(kind(compose.NetworkMode)), edges: []status.Edge{seen("api", "db", 80, 1, 0)}, instances: ready, want: []string{"api -> db 80; 1 connect; network_mode"}},
		{name: "a namespace, and said twice", plan: two(on(compose.Healthy), kind(compose.IPC)), instances: ready, want: []string{"api -> db; depends_on (service_healthy), ipc"}},
		{name: "pid and volumes_from", plan: two(kind(compose.PID), kind(compose.VolumesFrom)), instances: ready, want: []string{"api -> db; pid, volumes_from"}},
		{
			name: "a volume", plan: two(compose.Dependency{Kind: compose.SharedMount, Detail: "data"}), edges: []status.Edge{seen("api", "db", 80, 1, 0)}, instances: ready,
			want: []string{"api -> db 80; 1 connect; used but not declared", "api -- db; volumes (data)"},
		},
		{
			name: "a volume may be what it is for", plan: two(on(compose.Started), compose.Dependency{Kind: compose.SharedMount, Detail: "data"}), instances: ready,
			want: []string{"api -> db; depends_on", "api -- db; volumes (data)"},
		},

		{name: "the target was not started", plan: two(on(compose.Started)), instances: []status.Status{ready[0], with(ready[1], func(s *status.Status) { *s = status.Status{Service: "db", Instance: "db-1", State: event.Created} })}, edges: []status.Edge{seen("api", "api", 1, 1, 0)}, want: []string{"api -> api 1; 1 connect", "api -> db; depends_on"}},
		{name: "the client is not ready yet", plan: two(on(compose.Started)), instances: []status.Status{with(ready[0], func(s *status.Status) { s.State, s.Ready, s.ReadyAfter = event.Starting, false, 0 }), ready[1]}, want: []string{"api -> db; depends_on"}},
		{name: "the client was ready", plan: two(on(compose.Started)), instances: []status.Status{with(ready[0], func(s *status.Status) { s.State, s.Ready = event.StateListening, false }), ready[1]}, want: []string{unused}},
		{name: "the client was stopped before it was ready", plan: two(on(compose.Started)), isOver: true, instances: []status.Status{with(ready[0], func(s *status.Status) { s.State, s.Stopped, s.ReadyAfter = event.Exited, true, 0 }), ready[1]}, want: []string{"api -> db; depends_on"}},
		{name: "the client has failed", plan: two(on(compose.Started)), isOver: true, instances: []status.Status{with(ready[0], func(s *status.Status) { s.State, s.Code, s.ReadyAfter = event.Exited, 1, 0 }), ready[1]}, want: []string{"api -> db; depends_on"}},
		{name: "the client was a job", plan: two(on(compose.Started)), isOver: true, instances: []status.Status{with(ready[0], func(s *status.Status) { s.State, s.ReadyAfter = event.Exited, 0 }), ready[1]}, want: []string{unused}},
		{name: "nobody saw connects", plan: two(on(compose.Started)), instances: []status.Status{ready[0], with(ready[1], func(s *status.Status) { s.Ports = nil })}, want: []string{"api -> db; depends_on"}},
		{name: "UDP is not seen", plan: udp, instances: ready, want: []string{"api -> db; depends_on"}},

		{name: "the outside", plan: two(), edges: []status.Edge{fromHost, outside, seen("api", "", 0, 7, 0)}, instances: ready, want: []string{"api -> outside:; 7 connects", "api -> outside:192.0.2.7 443; 1 connect", "host: -> db 5432; 1 connect"}},
		{name: "a target that is not of the plan", plan: unknown, instances: ready},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := New(Input{Project: "shop", Plan: test.plan, Edges: test.edges, Instances: test.instances, Runs: !test.isOver})
			if diff := cmp.Diff(test.want, g.lines()); diff != "" {
				t.Errorf("edges (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNodes(t *testing.T) {
	plan := two()
	plan.Services[0].Instances = []string{"api-1", "api-2"}
	plan.Services[0].Ports = []compose.Port{{Number: 80, Protocol: "tcp"}, {Number: 80, Protocol: "udp"}}
	plan.Services[0].Published = []compose.Publish{{HostIP: "127.0.0.1", HostPort: 8080, Target: 80, Protocol: "tcp"}}
	of := func(name string, state event.State, change func(*status.Status)) status.Status {
		s := status.Status{Service: "api", Instance: name, Runtime: compose.Engine, State: state, Ports: []uint16{80}}
		if change != nil {
			change(&s)
		}
		return s
	}
	stopped := func(s *status.Status) { s.Stopped, s.Code = true, 143 }
	isReady := func(s *status.Status) { s.Ready, s.ReadyAfter, s.Started = true, 40*time.Millisecond, begun }
	published := "|127.0.0.1:8080->80/tcp, 80/udp"
	for _, test := range []struct {
		name      string
		instances []status.Status
		isOver    bool
		want      string // of api
	}{
		{"it has not run", nil, true, "|" + published},
		{"not started", []status.Status{of("api-1", event.Created, nil)}, false, "not ready|created" + published},
		{"ready", []status.Status{of("api-1", event.StateReady, isReady)}, false, "ready|ready (40 ms)" + published},
		{"two", []status.Status{of("api-1", event.StateReady, isReady), of("api-2", event.StateReady, isReady)}, false, "ready|2 ready" + published},
		{"one of two", []status.Status{of("api-1", event.StateReady, isReady), of("api-2", event.StateListening, nil)}, false, "not ready|1 ready, 1 listening" + published},
		{"one has failed", []status.Status{of("api-1", event.Exited, func(s *status.Status) { s.Code = 1 }), of("api-2", event.StateReady, isReady)}, false, "failed|1 exited (1), 1 ready" + published},
		{"one was stopped", []status.Status{of("api-1", event.StateReady, isReady), of("api-2", event.Exited, stopped)}, false, "ready|1 ready, 1 stopped" + published},
		{"unhealthy", []status.Status{of("api-1", event.StateListening, func(s *status.Status) { s.Health, s.HealthDecides = status.Unhealthy, true })}, false, "failed|unhealthy" + published},
		{"after the run", []status.Status{of("api-1", event.Exited, stopped), of("api-2", event.Exited, nil)}, true, "over|1 stopped, 1 exited (0)" + published},
		{"its end is not on record", []status.Status{of("api-1", event.StateReady, isReady)}, true, "over|was ready (40 ms)" + published},
		{"it could not be started", []status.Status{of("api-1", event.Failed, nil)}, true, "failed|failed" + published},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := New(Input{Plan: plan, Instances: test.instances, Runs: !test.isOver})
			want := []string{"api|engine|" + test.want, "db|engine"}
			if diff := cmp.Diff(want, g.states()); diff != "" {
				t.Errorf("nodes (-want +got):\n%s", diff)
			}
		})
	}
}

// Services may have the names of what is none, and a graph shows them apart.
func TestNames(t *testing.T) {
	fromHost := seen(status.Host, "host", 80, 1, 0)
	fromHost.FromHost = true
	outside := seen("host", "", 443, 1, 0)
	outside.Address = "outside"
	g := New(Input{Edges: []status.Edge{fromHost, outside, seen("outside", "host", 80, 1, 0)}, Instances: []status.Status{instance("host", "host-1")}, Runs: true})
	want := []string{"host|engine|ready|ready (2.9 s)", "outside", "host:", "outside:outside"}
	if diff := cmp.Diff(want, g.states()); diff != "" {
		t.Errorf("nodes (-want +got):\n%s", diff)
	}
	want = []string{"outside -> host 80; 1 connect; used but not declared", "host -> outside:outside 443; 1 connect", "host: -> host 80; 1 connect"}
	if diff := cmp.Diff(want, g.lines()); diff != "" {
		t.Errorf("edges (-want +got):\n%s", diff)
	}
}

// What was given is as it was, and the order of it means nothing.
func TestOrder(t *testing.T) {
	in := shop()
	forwards := New(in)
	turned := shop()
	for n, e := range in.Edges {
		turned.Edges[len(in.Edges)-1-n] = e
	}
	if diff := cmp.Diff(forwards.lines(), New(turned).lines()); diff != "" {
		t.Errorf("the other way round (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(shop(), in); diff != "" {
		t.Errorf("the input was changed (-want +got):\n%s", diff)
	}
}

func TestAtEnd(t *testing.T) {
	change := func(instance string, state event.State, code int) event.Event {
		return event.Event{Type: event.StateChanged, Time: begun, Service: strings.TrimRight(instance, "-0123456789"), Instance: instance, State: state, Code: code}
	}
	run := &record.Run{Plan: record.Plan{Services: []record.Service{{Name: "web", Runtime: compose.Process}}}, Events: []event.Event{
		{Type: event.ProjectChanged, State: event.Starting},
		change("web-10", event.Starting, 0), change("web-2", event.Starting, 0), change("db-1", event.Starting, 0), change("lost-1", event.Starting, 0),
		{Type: event.Started, Time: begun, Service: "lost", Instance: "lost-1"},
		{Type: event.Started, Time: begun, Service: "db", Instance: "db-1"},
		{Type: event.Listening, Service: "db", Instance: "db-1", Port: 5432},
		{Type: event.Listening, Service: "db", Instance: "db-1", Port: 5432},
		{Type: event.HoldBegan, Service: "db", Instance: status.Host, Target: "db", Port: 5432},
		{Type: event.Ready, Service: "db", Instance: "db-1", Elapsed: time.Second},
		change("db-1", event.StateReady, 0), change("db-1", event.StateStopping, 0), change("db-1", event.Exited, 143),
		change("web-10", event.Exited, 3), change("web-2", event.Failed, 0),
	}}
	g := New(Input{Plan: run.Plan, Instances: AtEnd(run)})
	want := []string{"db||over|stopped, ready after 1.0 s|5432/tcp", "lost||over|was starting", "web|process|failed|1 failed, 1 exited (3)"}
	if diff := cmp.Diff(want, g.states()); diff != "" {
		t.Errorf("nodes (-want +got):\n%s", diff)
	}
}
