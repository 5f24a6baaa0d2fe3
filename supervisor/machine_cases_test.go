package supervisor

import (
	"fmt"
	"time"

	"upall/compose"
)

// The machine is tested with text: inputs at the start of a line, what comes of
// them indented below. Ticks are given as next wants them. An instance "api-1"
// that is started or stopped is written as the line "start api-1" alone; a
// change of state that no such line tells stands for itself.
//
//	TIME begin | ended NAME CODE [over|restarts|may-return] [at=TIME] | began NAME [at=TIME] | stop | kill | until | code
//	TIME health NAME healthy|unhealthy | ready NAME | edge CLIENT SERVER
//	TIME stop-services|kill-services|start-services|restart-services SERVICE...
type machineTest struct {
	name     string
	services []compose.Service
	ending   Ending
	grace    *time.Duration
	text     string
}

var machineTests = []machineTest{
	{"all start at once", []compose.Service{svc("a"), svc("b", twice)}, Ending{}, nil, `
0s begin
  0s a-1 created
  0s b-1 created
  0s b-2 created
  0s start a-1
  0s start b-1
  0s start b-2
1s ended b-1 0
  1s b-1 exited 0 final
1s ended b-1 1
1s ended nobody 1
2s code
  2s code 0, not done
3s ended a-1 0
  3s a-1 exited 0 final
3s ended b-2 0
  3s b-2 exited 0 final
3s code
  3s code 0, done
`},
	{"the engine restarts an instance by its policy", []compose.Service{container("a")}, Ending{}, nil, `
0s begin
  0s a-1 created
  0s start a-1
0s began a-1
1s ended a-1 3 restarts
  1s a-1 restarting 3
9s began a-1
  9s a-1 starting
9s ended a-1 4 over
  9s a-1 exited 4 final
9s code
  9s code 4, done
`},
	{"somebody restarts an instance from outside", []compose.Service{container("a")}, Ending{}, nil, `
0s begin
  0s a-1 created
  0s start a-1
1s ended a-1 143 may-return
  1s a-1 restarting 143
2s code
  2s code 0, not done
2s began a-1
  2s a-1 starting
5s ended a-1 143 may-return
  5s a-1 restarting 143
  15s a-1 exited 143 final
16s code
  16s code 143, done
16s began a-1
  16s a-1 starting
`},
	{"a stop does not wait for who may return", []compose.Service{container("a"), container("b")}, Ending{}, nil, `
0s begin
  0s a-1 created
  0s b-1 created
  0s start a-1
  0s start b-1
1s ended a-1 143 may-return
  1s a-1 restarting 143
2s stop
  2s stop a-1
  2s stop b-1
2100ms ended a-1 143 over at=2s
  2.1s a-1 exited 143 final
20s ended b-1 0 may-return
  20s b-1 exited 0 final
20s code
  20s code 0, done
`},
	{"who the engine would restart is stopped, also when it has just done so", []compose.Service{container("a"), container("b")}, Ending{}, nil, `
0s begin
  0s a-1 created
  0s b-1 created
  0s start a-1
  0s start b-1
1s ended a-1 3 restarts
  1s a-1 restarting 3
2s stop-services a
  2s stop a-1
2s stop-services a
3s began a-1
  3s a-1 starting
4s ended a-1 143 may-return
  4s a-1 exited 143 final
5s ended b-1 3 restarts
  5s b-1 restarting 3
6s stop-services b
  6s stop b-1
7s ended b-1 3 over
  7s b-1 exited 3 final
7s code
  7s code 0, done
`},
	{"a restart by the engine that does not come", []compose.Service{container("a")}, Ending{}, nil, `
0s begin
  0s a-1 created
  0s start a-1
1s ended a-1 3 restarts
  1s a-1 restarting 3
2s ended a-1 3 over
  2s a-1 exited 3 final
`},
	{"a project without instances is done", nil, Ending{}, nil, `
0s begin
0s code
  0s code 0, done
`},
	{"back-off doubles and is reset by a run of 10 s", []compose.Service{svc("a", restart("always", 0))}, Ending{}, nil, `
0s begin
  0s a-1 created
  0s start a-1
0s ended a-1 1
  0s a-1 restarting 1
  100ms start a-1
100ms ended a-1 0
  100ms a-1 restarting 0
  300ms start a-1
400ms ended a-1 2
  400ms a-1 restarting 2
  800ms start a-1
10799ms ended a-1 2
  10.799s a-1 restarting 2
  11.599s start a-1
21599ms ended a-1 2
  21.599s a-1 restarting 2
  21.699s start a-1
22s code
  22s code 0, not done
`},
	{"on-failure gives up after max restarts", []compose.Service{svc("a", restart("on-failure", 2))}, Ending{}, nil, `
0s begin
  0s a-1 created
  0s start a-1
0s ended a-1 1
  0s a-1 restarting 1
  100ms start a-1
20s ended a-1 1
  20s a-1 restarting 1
  20.1s start a-1
21s ended a-1 4
  21s a-1 exited 4 final
21s code
  21s code 4, done
`},
	{"on-failure without max; success ends it", []compose.Service{svc("a", restart("on-failure", 0)), svc("b", restart("no", 0))}, Ending{}, nil, `
0s begin
  0s a-1 created
  0s b-1 created
  0s start a-1
  0s start b-1
0s ended a-1 1
  0s a-1 restarting 1
0s ended b-1 7
  0s b-1 exited 7 final
  100ms start a-1
1s ended a-1 0
  1s a-1 exited 0 final
1s code
  1s code 7, done
`},
	{"a start gate opens when each instance of the job has exited with 0", []compose.Service{svc("api", after("job", compose.Completed)), svc("job", twice)}, Ending{}, nil, `
0s begin
  0s api-1 created
  0s job-1 created
  0s job-2 created
  0s start job-1
  0s start job-2
1s ended job-1 0
  1s job-1 exited 0 final
2s ended job-2 0
  2s job-2 exited 0 final
  2s start api-1
`},
	{"a restarting job keeps the gate shut", []compose.Service{svc("api", after("job", compose.Completed)), svc("job", restart("on-failure", 0))}, Ending{}, nil, `
0s begin
  0s api-1 created
  0s job-1 created
  0s start job-1
1s ended job-1 1
  1s job-1 restarting 1
  1.1s start job-1
2s ended job-1 0
  2s job-1 exited 0 final
  2s start api-1
`},
	{"gates of started services open in a chain, whatever the order", []compose.Service{svc("a", after("b", compose.Started)), svc("b", after("c", compose.Healthy)), svc("c")}, Ending{}, nil, `
0s begin
  0s a-1 created
  0s b-1 created
  0s c-1 created
  0s start c-1
1s ready c-1
  1s start b-1
  1s start a-1
`},
	{"a job that fails fails all that wait for it, whatever the order", []compose.Service{svc("a", after("b", compose.Completed)), svc("b", after("job", compose.Completed)), svc("c", after("b", compose.Started)), svc("d"), svc("job")}, Ending{}, nil, `
0s begin
  0s a-1 created
  0s b-1 created
  0s c-1 created
  0s d-1 created
  0s job-1 created
  0s start d-1
  0s start job-1
1s ended job-1 3
  1s job-1 exited 3 final
  1s b-1 failed 1 final: not started: job exited with code 3
  1s c-1 failed 1 final: not started: b was not started
  1s a-1 failed 1 final: not started: b was not started
1s code
  1s code 3, not done
2s ended d-1 0
  2s d-1 exited 0 final
2s code
  2s code 3, done
`},
	{"one instance of a job fails while another runs", []compose.Service{svc("api", after("job", compose.Completed)), svc("job", twice)}, Ending{}, nil, `
0s begin
  0s api-1 created
  0s job-1 created
  0s job-2 created
  0s start job-1
  0s start job-2
1s ended job-2 3
  1s job-2 exited 3 final
  1s api-1 failed 1 final: not started: job exited with code 3
`},
	{"connect gates and gates on nobody hold no start back", []compose.Service{{Name: "a", Instances: instances("a", 1), Gates: []compose.Gate{
		{Service: "b", Condition: compose.Completed, Kind: compose.GateConnect},
		{Service: "absent", Condition: compose.Completed, Kind: compose.GateStart},
	}}, svc("b")}, Ending{}, nil, `
0s begin
  0s a-1 created
  0s b-1 created
  0s start a-1
  0s start b-1
`},
	{"a failed gate ends a project before anything else is started", []compose.Service{svc("a", after("job", compose.Completed)), svc("b", after("job", compose.Completed)), svc("c", restart("always", 0)), svc("job")}, Ending{OnFailure: true}, nil, `
0s begin
  0s a-1 created
  0s b-1 created
  0s c-1 created
  0s job-1 created
  0s start c-1
  0s start job-1
1s ended c-1 9
  1s c-1 restarting 9
1050ms ended job-1 3
  1.05s job-1 exited 3 final
  1.05s c-1 exited 9 final
2s code
  2s code 3, done
`},
	{"at the first exit", []compose.Service{svc("a"), svc("b"), svc("c", restart("always", 0))}, Ending{OnExit: true}, nil, `
0s begin
  0s a-1 created
  0s b-1 created
  0s c-1 created
  0s start a-1
  0s start b-1
  0s start c-1
1s ended c-1 1
  1s c-1 restarting 1
  1.1s start c-1
2s ended a-1 0
  2s a-1 exited 0 final
  2s stop b-1
  2s stop c-1
3s ended b-1 143
  3s b-1 exited 143 final
3s ended c-1 143
  3s c-1 exited 143 final
3s code
  3s code 0, done
`},
	{"at the first exit, after a failure", []compose.Service{svc("a"), svc("b")}, Ending{OnExit: true}, nil, `
0s begin
  0s a-1 created
  0s b-1 created
  0s start a-1
  0s start b-1
1s ended b-1 5
  1s b-1 exited 5 final
  1s stop a-1
2s ended a-1 1
  2s a-1 exited 1 final
2s code
  2s code 5, done
`},
	{"at the first failure", []compose.Service{svc("a"), svc("b"), svc("c")}, Ending{OnFailure: true}, nil, `
0s begin
  0s a-1 created
  0s b-1 created
  0s c-1 created
  0s start a-1
  0s start b-1
  0s start c-1
1s ended a-1 0
  1s a-1 exited 0 final
2s ended b-1 6
  2s b-1 exited 6 final
  2s stop c-1
3s ended c-1 143
  3s c-1 exited 143 final
3s code
  3s code 6, done
`},
	{"with a service, whose code counts though others failed before", []compose.Service{svc("a"), svc("b"), svc("check")}, Ending{From: "check"}, nil, `
0s begin
  0s a-1 created
  0s b-1 created
  0s check-1 created
  0s start a-1
  0s start b-1
  0s start check-1
1s ended a-1 9
  1s a-1 exited 9 final
1s code
  1s code 0, not done
2s ended check-1 0
  2s check-1 exited 0 final
  2s stop b-1
3s ended b-1 1
  3s b-1 exited 1 final
3s code
  3s code 0, done
`},
	{"with another's exit, and the code of a service that it stops", []compose.Service{svc("a"), svc("check")}, Ending{OnExit: true, From: "check"}, nil, `
0s begin
  0s a-1 created
  0s check-1 created
  0s start a-1
  0s start check-1
1s ended a-1 9
  1s a-1 exited 9 final
  1s stop check-1
2s ended check-1 2
  2s check-1 exited 2 final
2s code
  2s code 2, done
`},
	{"with another's exit, and the code of a service that was to restart", []compose.Service{svc("a"), svc("check", restart("always", 0))}, Ending{OnExit: true, From: "check"}, nil, `
0s begin
  0s a-1 created
  0s check-1 created
  0s start a-1
  0s start check-1
1s ended check-1 4
  1s check-1 restarting 4
1s ended a-1 0
  1s a-1 exited 0 final
  1s check-1 exited 4 final
1s code
  1s code 4, done
`},
	{"the first failure's code, when all have ended", []compose.Service{svc("a"), svc("b"), svc("c")}, Ending{}, nil, `
0s begin
  0s a-1 created
  0s b-1 created
  0s c-1 created
  0s start a-1
  0s start b-1
  0s start c-1
1s ended b-1 0
  1s b-1 exited 0 final
2s ended c-1 3
  2s c-1 exited 3 final
3s ended a-1 4
  3s a-1 exited 4 final
3s code
  3s code 3, done
`},
	{"stop with grace, and kill at its end", []compose.Service{svc("a", restart("always", 0)), svc("b", graceOf(3*time.Second)), svc("c")}, Ending{}, nil, `
0s begin
  0s a-1 created
  0s b-1 created
  0s c-1 created
  0s start a-1
  0s start b-1
  0s start c-1
1s ended c-1 0
  1s c-1 exited 0 final
2s stop
  2s stop a-1
  2s stop b-1
3s stop
3s ended a-1 143
  3s a-1 exited 143 final
  5s kill b-1
6s code
  6s code 0, not done
7s ended b-1 137
  7s b-1 exited 137 final
60s code
  1m0s code 0, done
`},
	{"the grace of the project counts before a service's", []compose.Service{svc("a", graceOf(time.Hour))}, Ending{}, new(time.Second), `
0s begin
  0s a-1 created
  0s start a-1
1s stop
  1s stop a-1
  2s kill a-1
3s until
`},
	{"no grace", []compose.Service{svc("a")}, Ending{}, new(time.Duration(0)), `
0s begin
  0s a-1 created
  0s start a-1
1s stop
  1s stop a-1
  1s kill a-1
9s until
`},
	{"stop during back-off and behind a gate", []compose.Service{svc("a", restart("always", 0)), svc("b", after("c", compose.Completed)), svc("c")}, Ending{}, nil, `
0s begin
  0s a-1 created
  0s b-1 created
  0s c-1 created
  0s start a-1
  0s start c-1
1s ended a-1 1
  1s a-1 restarting 1
1050ms stop
  1.05s a-1 exited 1 final
  1.05s stop c-1
2s ended c-1 0
  2s c-1 exited 0 final
3s code
  3s code 0, done
`},
	{"kill, twice, during a stop", []compose.Service{svc("a")}, Ending{}, nil, `
0s begin
  0s a-1 created
  0s start a-1
1s stop
  1s stop a-1
2s kill
  2s kill a-1
3s kill
  3s kill a-1
4s stop
20s ended a-1 137
  20s a-1 exited 137 final
20s kill
20s code
  20s code 0, done
`},
	{"kill at once", []compose.Service{svc("a", restart("always", 0)), svc("b", restart("always", 0))}, Ending{}, nil, `
0s begin
  0s a-1 created
  0s b-1 created
  0s start a-1
  0s start b-1
1s ended a-1 1
  1s a-1 restarting 1
1s kill
  1s a-1 exited 1 final
  1s kill b-1
2s ended b-1 137
  2s b-1 exited 137 final
3s code
  3s code 0, done
`},
}

// svc is a service of one instance, with options.
func checked(s *compose.Service) { s.Health = &compose.Healthcheck{} }

func optional(s *compose.Service) { s.Gates[len(s.Gates)-1].Required = false }

func withRestart(s *compose.Service) { s.Gates[len(s.Gates)-1].Restart = true }

func connects(s *compose.Service) { s.Gates[len(s.Gates)-1].Kind = compose.GateConnect }

func svc(name string, options ...func(*compose.Service)) compose.Service {
	s := compose.Service{Name: name, Instances: instances(name, 1), StopGrace: 10 * time.Second}
	for _, o := range options {
		o(&s)
	}
	return s
}

func instances(service string, n int) (is []compose.Instance) {
	for index := 1; index <= n; index++ {
		is = append(is, compose.Instance{Name: fmt.Sprintf("%s-%d", service, index), Index: index})
	}
	return is
}

func twice(s *compose.Service) { s.Instances = instances(s.Name, 2) }

func restart(policy string, most int) func(*compose.Service) {
	return func(s *compose.Service) { s.Restart = compose.Restart{Policy: policy, Max: most} }
}

func graceOf(d time.Duration) func(*compose.Service) {
	return func(s *compose.Service) { s.StopGrace = d }
}

func after(service string, c compose.Condition) func(*compose.Service) {
	return func(s *compose.Service) {
		s.Gates = append(s.Gates, compose.Gate{Service: service, Condition: c, Kind: compose.GateStart, Required: true})
	}
}

func container(name string) compose.Service {
	return svc(name, func(s *compose.Service) { s.Runtime = compose.Engine })
}
