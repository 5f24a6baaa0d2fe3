package supervisor

import (
	"slices"
	"testing"
	"time"

	"upall/compose"
)

// machineServiceTests are about what is done with single services, and about the
// order in which they stop.
var machineServiceTests = []machineTest{
	{"clients stop before their servers, in parallel within a level", []compose.Service{svc("api"), svc("cache"), svc("db"), svc("web")}, Ending{}, nil, `
0s begin
  0s api-1 created
  0s cache-1 created
  0s db-1 created
  0s web-1 created
  0s start api-1
  0s start cache-1
  0s start db-1
  0s start web-1
1s edge web api
1s edge api db
1s edge api cache
2s stop
  2s stop web-1
3s ended web-1 0
  3s web-1 exited 0 final
  3s stop api-1
4s ended api-1 0
  4s api-1 exited 0 final
  4s stop cache-1
  4s stop db-1
5s ended db-1 0
  5s db-1 exited 0 final
  14s kill cache-1
15s code
  15s code 0, not done
15s ended cache-1 137
  15s cache-1 exited 137 final
15s code
  15s code 0, done
`},
	{"declared edges count until an observed one is against them", []compose.Service{svc("a", after("b", compose.Started), connects), svc("b"), svc("c", after("d", compose.Started), connects), svc("d")}, Ending{}, nil, `
0s begin
  0s a-1 created
  0s b-1 created
  0s c-1 created
  0s d-1 created
  0s start a-1
  0s start b-1
  0s start c-1
  0s start d-1
1s edge d c
2s stop
  2s stop a-1
  2s stop d-1
3s ended a-1 0
  3s a-1 exited 0 final
  3s stop b-1
3s ended d-1 0
  3s d-1 exited 0 final
  3s stop c-1
`},
	{"services that connect in a circle stop together", []compose.Service{svc("a"), svc("b"), svc("c")}, Ending{}, nil, `
0s begin
  0s a-1 created
  0s b-1 created
  0s c-1 created
  0s start a-1
  0s start b-1
  0s start c-1
1s edge a b
1s edge b a
1s edge c a
2s stop
  2s stop c-1
3s ended c-1 0
  3s c-1 exited 0 final
  3s stop a-1
  3s stop b-1
`},
	{"a client that does not end in time is killed, and its server's stop goes on", []compose.Service{svc("api", graceOf(time.Second)), svc("db")}, Ending{}, nil, `
0s begin
  0s api-1 created
  0s db-1 created
  0s start api-1
  0s start db-1
1s edge api db
2s stop
  2s stop api-1
  3s kill api-1
3s code
  3s code 0, not done
3100ms ended api-1 137
  3.1s api-1 exited 137 final
  3.1s stop db-1
`},
	{"a service is stopped, and started again", []compose.Service{svc("a", restart("always", 0)), svc("b")}, Ending{}, nil, `
0s begin
  0s a-1 created
  0s b-1 created
  0s start a-1
  0s start b-1
1s stop-services a
  1s stop a-1
2s ended a-1 143
  2s a-1 exited 143 final
3s code
  3s code 0, not done
4s start-services a
  4s a-1 created
  4s start a-1
`},
	{"a start overtakes a stop", []compose.Service{svc("a")}, Ending{}, nil, `
0s begin
  0s a-1 created
  0s start a-1
1s stop-services a
  1s stop a-1
2s start-services a
3s ended a-1 0
  3s a-1 restarting 0
  3s a-1 created
  3s start a-1
`},
	{"an end that is told late is not that of the next run", []compose.Service{container("a")}, Ending{}, nil, `
0s begin
  0s a-1 created
  0s start a-1
1s restart-services a
  1s stop a-1
2s ended a-1 143 may-return at=1900ms
  2s a-1 restarting 143
  2s a-1 created
  2s start a-1
2100ms ended a-1 143 over at=1s
3s ended a-1 143 over at=1999ms
4s ended a-1 3 over at=3900ms
  4s a-1 exited 3 final
`},
	{"a run that is told late ends with its end", []compose.Service{container("a")}, Ending{}, nil, `
0s begin
  0s a-1 created
  0s start a-1
1s ended a-1 143 may-return at=1s
  1s a-1 restarting 143
2s began a-1 at=1500ms
  2s a-1 starting
2s ended a-1 3 over at=1600ms
  2s a-1 exited 3 final
`},
	{"services that are restarted start when all of them have ended", []compose.Service{svc("api"), svc("db"), svc("job"), svc("web")}, Ending{}, nil, `
0s begin
  0s api-1 created
  0s db-1 created
  0s job-1 created
  0s web-1 created
  0s start api-1
  0s start db-1
  0s start job-1
  0s start web-1
1s edge api db
1s edge web api
2s ended job-1 0
  2s job-1 exited 0 final
3s restart-services api db
  3s stop api-1
4s ended api-1 0
  4s api-1 restarting 0
  4s stop db-1
5s ended db-1 0
  5s db-1 restarting 0
  5s api-1 created
  5s db-1 created
  5s start api-1
  5s start db-1
`},
	{"who asked for it restarts with its dependency", []compose.Service{svc("a", after("b", compose.Started), connects, withRestart), svc("b", after("c", compose.Started), connects, withRestart), svc("c"), svc("d", after("c", compose.Started), connects)}, Ending{}, nil, `
0s begin
  0s a-1 created
  0s b-1 created
  0s c-1 created
  0s d-1 created
  0s start a-1
  0s start b-1
  0s start c-1
  0s start d-1
1s restart-services c
  1s stop a-1
1s ended a-1 0
  1s a-1 restarting 0
  1s stop b-1
1s ended b-1 0
  1s b-1 restarting 0
  1s stop c-1
1s ended c-1 0
  1s c-1 restarting 0
  1s a-1 created
  1s b-1 created
  1s c-1 created
  1s start a-1
  1s start b-1
  1s start c-1
`},
	{"a kill does not wait for clients", []compose.Service{svc("api"), svc("db", restart("always", 0))}, Ending{}, nil, `
0s begin
  0s api-1 created
  0s db-1 created
  0s start api-1
  0s start db-1
1s edge api db
2s kill-services db
  2s kill db-1
3s ended db-1 137
  3s db-1 exited 137 final
`},
	{"a start gate waits for health", []compose.Service{svc("a", after("b", compose.Healthy)), svc("b", checked)}, Ending{}, nil, `
0s begin
  0s a-1 created
  0s b-1 created
  0s start b-1
1s ready b-1
2s health b-1 healthy
  2s start a-1
`},
	{"a start gate fails with health", []compose.Service{svc("a", after("b", compose.Healthy)), svc("b", checked)}, Ending{}, nil, `
0s begin
  0s a-1 created
  0s b-1 created
  0s start b-1
2s health b-1 unhealthy
  2s a-1 failed 1 final: not started: b is unhealthy
`},
	{"an optional dependency that fails keeps nobody from starting", []compose.Service{svc("a", after("job", compose.Completed), optional), svc("job")}, Ending{}, nil, `
0s begin
  0s a-1 created
  0s job-1 created
  0s start job-1
2s ended job-1 3
  2s job-1 exited 3 final
  2s warn a: starts without an optional dependency: job exited with code 3
  2s start a-1
`},
	{"a job that was stopped before it ran opens no gate", []compose.Service{svc("a", after("b", compose.Completed)), svc("b", after("c", compose.Completed)), svc("c")}, Ending{}, nil, `
0s begin
  0s a-1 created
  0s b-1 created
  0s c-1 created
  0s start c-1
1s stop-services b
2s ended c-1 0
  2s c-1 exited 0 final
3s start-services b
  3s start b-1
`},
}

// A machine goes on from what it has saved.
func TestMachineRestore(t *testing.T) {
	t.Parallel()
	plan := &compose.Plan{Services: []compose.Service{svc("api"), svc("db"), svc("job"), svc("late", after("job", compose.Completed)), container("box")}}
	before := newMachine(plan, Ending{}, nil)
	now := time.Unix(1_000_000, 0)
	before.step(now, begin{})
	before.step(now, edge{"api", "db"})
	before.step(now, ended{instance: "job-1", code: 0})
	before.step(now, stopServices{services: []string{"box"}})
	saved, err := before.save()
	if err != nil {
		t.Fatal(err)
	}
	m := newMachine(plan, Ending{}, nil)
	if err := m.restore(saved); err != nil {
		t.Fatal(err)
	}
	again, err := m.save()
	if err != nil || string(again) != string(saved) {
		t.Errorf("restored: %s (%v), want %s", again, err, saved)
	}
	later := now.Add(time.Second)
	got := machineLines(m.step(later, resume{
		runs: map[string]bool{"api-1": true, "late-1": true, "box-1": true}, absent: map[string]bool{"db-1": true},
	}))
	want := []string{"start db-1", "stop box-1"}
	if !slices.Equal(got, want) {
		t.Errorf("resumed with %q, want %q", got, want)
	}
	got = machineLines(m.step(later, stop{}))
	if want := []string{"stop api-1", "stop late-1"}; !slices.Equal(got, want) {
		t.Errorf("stopped with %q, want %q: the edge is known", got, want)
	}
}

// Another plan of a project that runs changes what differs, and nothing else.
func TestMachineApply(t *testing.T) {
	t.Parallel()
	command := func(c string) func(*compose.Service) {
		return func(s *compose.Service) { s.Runtime, s.Command = compose.Process, []string{c} }
	}
	m := newMachine(&compose.Plan{Services: []compose.Service{
		svc("changes", command("one")), svc("follows", after("changes", compose.Started), connects, withRestart),
		svc("goes"), svc("job"), svc("shrinks", twice), svc("stays", command("same")), container("box"),
	}}, Ending{}, nil)
	now := time.Unix(1_000_000, 0)
	m.step(now, begin{})
	m.step(now, ended{instance: "job-1", code: 0})
	out := machineLines(m.step(now, apply{plan: &compose.Plan{Services: []compose.Service{
		svc("changes", command("two")), svc("comes"), svc("follows", after("changes", compose.Started), connects, withRestart),
		svc("job"), svc("shrinks"), svc("stays", command("same")), container("box"), svc("unwanted"),
	}}, services: []string{"changes", "comes", "follows", "job", "shrinks", "stays", "box"}}))
	want := []string{
		"comes-1 created", "unwanted-1 created", "job-1 created",
		"stop follows-1", "stop goes-1", "stop shrinks-2", "start job-1", "start comes-1",
	}
	if !slices.Equal(out, want) {
		t.Errorf("applied with\n%q, want\n%q", out, want)
	}
	for _, name := range []string{"goes-1", "shrinks-2", "follows-1", "changes-1"} {
		out = append(out, machineLines(m.step(now, ended{instance: name}))...)
	}
	want = append(want,
		"goes-1 exited 0 final", "remove goes-1", "shrinks-2 exited 0 final", "remove shrinks-2",
		"follows-1 restarting 0", "stop changes-1", "changes-1 restarting 0",
		"changes-1 created", "follows-1 created", "start changes-1", "start follows-1",
	)
	if !slices.Equal(out, want) {
		t.Errorf("went on with\n%q, want\n%q", out, want)
	}
	if got := m.find("changes-1").service.Command[0]; got != "two" {
		t.Errorf("what has changed runs %q", got)
	}
}
