package graph

import (
	"os"
	"testing"
	"time"

	"upall/compose"
	"upall/internal/event"
	"upall/internal/testenv"
	"upall/supervisor/record"
	"upall/supervisor/status"
)

func TestMain(m *testing.M) { os.Exit(testenv.RunGoldens(m)) }

// begun is when the runs of these tests begin.
var begun = time.Date(2026, 5, 4, 12, 30, 0, 0, time.UTC)

// shopPlan has one of each thing that files declare.
func shopPlan() record.Plan {
	service := func(name string, runtime compose.Runtime, instances []string, ports ...uint16) record.Service {
		s := record.Service{Name: name, Runtime: runtime, Instances: instances}
		for _, p := range ports {
			s.Ports = append(s.Ports, compose.Port{Number: p, Protocol: "tcp"})
		}
		return s
	}
	web := service("web", compose.Engine, []string{"web-1", "web-2"}, 80)
	web.Published = []compose.Publish{
		{HostPort: 8080, HostPortEnd: 8081, Target: 80, Protocol: "tcp"},
		{HostIP: "::1", Target: 80, Protocol: "tcp"},
	}
	statsd := service("statsd", compose.Engine, []string{"statsd-1"})
	statsd.Ports = []compose.Port{{Number: 8125, Protocol: "udp"}}
	return record.Plan{
		At: begun,
		Services: []record.Service{
			service("api", compose.Process, []string{"api-1"}, 8080),
			service("backup", compose.Engine, []string{"backup-1"}),
			service("cache", compose.Engine, []string{"cache-1"}, 6379),
			service("db", compose.Engine, []string{"db-1"}, 5432),
			service("debug", compose.Engine, []string{"debug-1"}),
			service("migrate", compose.Engine, []string{"migrate-1"}),
			service("recommendations-of-other-customers", compose.Engine, []string{"recommendations-of-other-customers-1"}, 8000),
			statsd, web,
		},
		Dependencies: []compose.Dependency{
			{Client: "api", Target: "cache", Kind: compose.DependsOn, Condition: compose.Started, Required: true},
			{Client: "api", Target: "db", Kind: compose.DependsOn, Condition: compose.Healthy, Required: true, Restart: true},
			{Client: "api", Target: "migrate", Kind: compose.DependsOn, Condition: compose.Completed},
			{Client: "api", Target: "statsd", Kind: compose.DependsOn, Condition: compose.Started, Required: true},
			{Client: "backup", Target: "db", Kind: compose.SharedMount, Detail: "data"},
			{Client: "backup", Target: "db", Kind: compose.SharedMount, Detail: `./a "b" <c> & d\`},
			{Client: "debug", Target: "db", Kind: compose.NetworkMode},
			{Client: "debug", Target: "db", Kind: compose.PID},
			{Client: "web", Target: "api", Kind: compose.DependsOn, Condition: compose.Started, Required: true},
			{Client: "web", Target: "api", Kind: compose.Link, Detail: "backend"},
		},
	}
}

// seen is an edge with counts.
func seen(client, target string, port uint16, count, held uint64) status.Edge {
	e := status.Edge{
		Client: client, Target: target, Port: port, Protocol: "tcp", Observed: true,
		Count: count, Held: held, First: begun.Add(time.Second), Last: begun.Add(time.Minute),
	}
	if held > 0 {
		e.HeldFor, e.Longest = time.Duration(held)*time.Second, 2834*time.Millisecond
	}
	return e
}

// instance is one that is ready.
func instance(service, name string, ports ...uint16) status.Status {
	return status.Status{
		Service: service, Instance: name, Runtime: compose.Engine, State: event.StateReady, Ready: true,
		Started: begun, ReadyAfter: 2934 * time.Millisecond, Ports: ports,
	}
}

// shop is a project that is up, with one of each thing that is seen.
func shop() Input {
	refused, host, outside, ipv6, several := seen("api", "recommendations-of-other-customers", 8000, 12, 12), seen(status.Host, "web", 80, 3, 1), seen("web", "", 443, 2, 0), seen("web", "", 443, 1, 0), seen("web", "", 80, 31, 0)
	refused.Refused = 4
	host.FromHost = true
	outside.Address, ipv6.Address, several.Port = "192.0.2.7", "2001:db8::1", 0
	api, waiting := instance("api", "api-1", 8080, 9090), instance("web", "web-2")
	api.Runtime = compose.Process
	waiting.State, waiting.Ready, waiting.ReadyAfter, waiting.Missing = event.StateWaiting, false, 0, "waits for api:8080"
	waiting.WaitingOn = []status.Wait{{Target: "api", Port: 8080, Count: 2}}
	job := status.Status{Service: "migrate", Instance: "migrate-1", Runtime: compose.Engine, State: event.Exited, ExitedAt: begun}
	failed := status.Status{Service: "backup", Instance: "backup-1", Runtime: compose.Engine, State: event.Exited, Code: 3, ExitedAt: begun}
	stopped := status.Status{Service: "debug", Instance: "debug-1", Runtime: compose.Engine, State: event.Exited, Code: 143, Stopped: true, ReadyAfter: time.Second, ExitedAt: begun}
	return Input{
		Project: "shop", Plan: shopPlan(), Runs: true,
		Edges: []status.Edge{
			refused, host, outside, ipv6, several,
			seen("api", "db", 5432, 1204, 3), seen("backup", "db", 5432, 1, 1), seen("cache", "cache", 6379, 0, 0), seen("web", "api", 8080, 1, 0), seen("web", "api", 9090, 7, 0),
			{Client: "api", Target: "cache", Declared: true},
		},
		Instances: []status.Status{
			api, failed, instance("cache", "cache-1", 6379), instance("db", "db-1", 5432), stopped, job,
			instance("recommendations-of-other-customers", "recommendations-of-other-customers-1"), instance("statsd", "statsd-1"),
			instance("web", "web-1", 80), waiting,
		},
	}
}
