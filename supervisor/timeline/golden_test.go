package timeline

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"upall/compose"
	"upall/internal/event"
	"upall/internal/testenv"
	"upall/supervisor/record"
)

func TestMain(m *testing.M) { os.Exit(testenv.RunGoldens(m)) }

// begun is when the runs of these tests begin.
var begun = time.Date(2026, 5, 4, 12, 30, 0, 0, time.UTC)

// play makes a run of a script: lines "MILLISECONDS INSTANCE WHAT", or "MILLISECONDS
// project STATE". The plan has the instances in it, and what declares adds.
func play(t *testing.T, script string, declares ...func(*record.Plan)) *record.Run {
	t.Helper()
	run := &record.Run{Header: record.Header{Format: record.Format, Project: "shop", Started: begun}}
	for line := range strings.Lines(script) {
		fields := strings.Fields(line)
		if len(fields) < 3 {
			continue
		}
		var ms int
		if _, err := fmt.Sscan(fields[0], &ms); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		e := event.Event{Time: begun.Add(time.Duration(ms) * time.Millisecond), Instance: fields[1]}
		e.Service, _, _ = strings.Cut(e.Instance, "-")
		fill(t, &e, fields[2], fields[3:])
		run.Events = append(run.Events, e)
		if e.Instance != "" && e.Instance != "host" {
			plan(&run.Plan, e.Service, e.Instance)
		}
	}
	slices.SortStableFunc(run.Events, func(a, b event.Event) int { return a.Time.Compare(b.Time) })
	for _, declare := range declares {
		declare(&run.Plan)
	}
	return run
}

// plan gives a plan an instance.
func plan(p *record.Plan, service, instance string) {
	for n, s := range p.Services {
		if s.Name != service {
			continue
		}
		if !slices.Contains(s.Instances, instance) {
			p.Services[n].Instances = append(s.Instances, instance)
		}
		return
	}
	p.Services = append(p.Services, record.Service{Name: service, Runtime: compose.Process, Instances: []string{instance}})
}

// gate gives a service a gate.
func gate(service, on string, kind compose.GateKind, c compose.Condition) func(*record.Plan) {
	return func(p *record.Plan) {
		for n, s := range p.Services {
			if s.Name == service {
				p.Services[n].Gates = append(s.Gates, compose.Gate{Service: on, Kind: kind, Condition: c, Required: true})
			}
		}
		dependsOn(service, on, c)(p)
	}
}

func dependsOn(service, on string, c compose.Condition) func(*record.Plan) {
	return func(p *record.Plan) {
		p.Dependencies = append(p.Dependencies, compose.Dependency{Client: service, Target: on, Kind: compose.DependsOn, Condition: c, Required: true})
	}
}

// fill makes the event of "WHAT ARGUMENT...".
func fill(t *testing.T, e *event.Event, what string, rest []string) {
	t.Helper()
	scan := func(to ...any) {
		if _, err := fmt.Sscan(strings.Join(rest, " "), to...); err != nil {
			t.Fatalf("%s %q: %v", what, rest, err)
		}
	}
	if e.Instance == "project" {
		e.Type, e.State, e.Service, e.Instance = event.ProjectChanged, event.State(what), "", ""
		return
	}
	switch what {
	case "starts", "listens", "serves", "healthy", "ready":
		e.Type = map[string]event.Type{
			"starts": event.Started, "listens": event.Listening, "serves": event.Serving, "healthy": event.Healthy, "ready": event.Ready,
		}[what]
		if len(rest) > 0 {
			scan(&e.Port)
		}
	case "waits": // HOLD TARGET PORT
		e.Type, e.Way, e.Cause = event.HoldBegan, event.Parked, "does not listen yet"
		scan(&e.Hold, &e.Target, &e.Port)
	case "connects": // TARGET PORT
		e.Type = event.Connected
		scan(&e.Target, &e.Port)
	case "released", "refused", "expired", "cancelled": // HOLD
		e.Type, e.End = event.HoldEnded, event.End(what)
		scan(&e.Hold)
	default:
		e.Type, e.State = event.StateChanged, event.State(what)
		if len(rest) > 0 {
			scan(&e.Code)
		}
	}
}

// The scripts of the goldens and of the critical path.
const (
	// chainScript: db is slow, api waits for it, and web for api.
	chainScript = `
		0 project starting
		10 api-1 created
		10 db-1 created
		10 web-1 created
		20 api-1 starting
		20 db-1 starting
		20 web-1 starting
		100 db-1 starts
		110 api-1 starts
		120 web-1 starts
		130 project up
		600 web-1 waits 1 api 8080
		900 api-1 waits 2 db 5432
		5900 db-1 listens 5432
		6100 db-1 serves
		6100 db-1 ready
		6101 api-1 connects db 5432
		6101 api-1 released 2
		6800 api-1 listens 8080
		6800 api-1 serves
		6800 api-1 ready
		6802 web-1 released 1
		7000 web-1 listens 80
		7000 web-1 serves
		7000 web-1 ready`
	// allScript has one of each thing.
	allScript = chainScript + `
		30 cache-1 created
		40 cache-1 starting
		50 cache-1 starts
		60 cache-1 listens 6379
		2000 cache-1 restarting 1
		2500 cache-1 starting
		2600 cache-1 starts
		2700 cache-1 listens 6379
		2700 cache-1 serves
		3200 cache-1 healthy
		3200 cache-1 ready
		20 seed-1 starting
		50 seed-1 starts
		300 seed-1 waits 3 db 5432
		6102 seed-1 released 3
		6500 seed-1 exited 0
		20 worker-1 starting
		50 worker-1 starts
		300 worker-1 waits 4 nobody 1
		400 worker-1 refused 4
		500 worker-1 exited 3
		20 job-1 starting
		20 job-2 starting
		50 job-1 starts
		60 job-2 starts
		700 job-1 waits 5 web 80
		710 job-1 waits 6 api 8080
		7001 job-1 released 5
		7001 job-1 released 6
		7050 job-1 exited 0
		800 job-2 exited 0
		9000 web-1 exited 1
		9100 web-1 starting
		9200 web-1 starts`
)
