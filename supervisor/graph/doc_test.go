package graph

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"upall/compose"
	"upall/internal/event"
	"upall/supervisor/record"
	"upall/supervisor/status"
)

// example is the project of docs/graph.md.
func example() Input {
	of := func(service string, state event.State, after time.Duration, ports ...uint16) status.Status {
		return status.Status{
			Service: service, Instance: service + "-1", Runtime: compose.Engine, State: state, Started: begun, ExitedAt: begun,
			Ready: state == event.StateReady, ReadyAfter: after, Ports: ports,
		}
	}
	api, second, worker := of("api", event.StateReady, 2934*time.Millisecond, 8080), of("web", event.StateReady, time.Second), of("worker", event.StateWaiting, 0)
	api.Runtime, second.Instance, worker.Missing = compose.Process, "web-2", "waits for db:5432"
	worker.WaitingOn = []status.Wait{{Target: "db", Port: 5432, Count: 1}}
	plan := shopPlan()
	plan.Services = slices.DeleteFunc(plan.Services, func(s record.Service) bool { return s.Name != "web" })
	plan.Services[0].Published = plan.Services[0].Published[:1]
	plan.Dependencies = []compose.Dependency{
		{Client: "api", Target: "cache", Kind: compose.DependsOn, Condition: compose.Started, Required: true},
		{Client: "api", Target: "db", Kind: compose.DependsOn, Condition: compose.Started, Required: true},
		{Client: "api", Target: "migrate", Kind: compose.DependsOn, Condition: compose.Completed, Required: true},
		{Client: "api", Target: "worker", Kind: compose.SharedMount, Detail: "files"},
	}
	outside, host := seen("api", "", 443, 31, 0), seen(status.Host, "web", 80, 3, 1)
	outside.Address, host.FromHost = "192.0.2.7", true
	return Input{
		Project: "shop", Plan: plan, Runs: true,
		Instances: []status.Status{
			api, of("cache", event.StateReady, time.Second, 6379), of("db", event.StateReady, 2100*time.Millisecond, 5432),
			of("migrate", event.Exited, 0), of("web", event.StateReady, time.Second, 80), second, worker,
		},
		Edges: []status.Edge{outside, host, seen("api", "db", 5432, 1204, 3), seen("web", "api", 8080, 7, 1), seen("worker", "db", 5432, 0, 0)},
	}
}

// docs/graph.md shows what Text writes, and names each field of the JSON form.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile("../../docs/graph.md")
	if err != nil {
		t.Fatal(err)
	}
	if want := "```\n" + New(example()).Text(TextOptions{}) + "```\n"; !strings.Contains(string(text), want) {
		t.Errorf("docs/graph.md does not show\n%s", want)
	}
	whole, err := New(shop()).JSON()
	if err != nil {
		t.Fatal(err)
	}
	var value any
	if err := json.Unmarshal([]byte(whole), &value); err != nil {
		t.Fatal(err)
	}
	for _, name := range fields(value) {
		if !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("docs/graph.md does not name the field %s", name)
		}
	}
}

// fields are the names of all fields of a JSON value.
func fields(value any) (names []string) {
	switch v := value.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			names = append(append(names, name), fields(v[name])...)
		}
	case []any:
		for _, one := range v {
			names = append(names, fields(one)...)
		}
	}
	return names
}
