package e2e

import (
	"strings"
	"testing"

	"upall/internal/event"
)

// diagnosed is a diagnosis of a client's connects.
func diagnosed(client string, kind event.Kind) match {
	return func(e event.Event) bool {
		return e.Type == event.Diagnosed && e.Service == client && e.Kind == kind
	}
}

// What is in the way of each connect is said in a line that a person can act on.
func TestE2EDiagnosis(t *testing.T) {
	t.Parallel()
	forRuntimes(t, func(t *testing.T, newGates func(string) *pod) {
		p := newGates(`
  db:      {BOXT, command: [/tools/server, -port, "7001"], expose: ["7001"]}
  port:    {BOXT, command: [/tools/goclient, db, "7002"]}
  local:   {BOXT, command: [sh, -c, "/tools/goclient db 7001 && /tools/goclient 127.0.0.1 7001"]}
  late:    {BOXT, command: [sleep, "1000"], init: true, expose: ["7000"]}
  waits:   {BOXT, command: [/tools/goclient, late, "7000"]}
  fails:   {BOXT, command: [sh, -c, "sleep 0.5; echo no data; exit 3"]}
  fallen:  {BOXT, command: [/tools/goclient, fails, "7000"]}
  udp:     {BOXT, command: [/tools/server, -udp], expose: ["7000/udp"]}
  tcp:     {BOXT, command: [/tools/goclient, udp, "7000"]}
  sick:    {BOXT, command: [/tools/server], expose: ["7000"], healthcheck: {test: [CMD-SHELL, "echo no answer; exit 1"], interval: 100ms, retries: 2}}
  careful: {BOXT, command: [/tools/goclient, sick, "7000"], depends_on: {sick: {condition: service_healthy}}}
  job:     {BOXT, command: [sh, -c, "echo no table; exit 4"]}
  after:   {BOXT, command: [/tools/goclient, db, "7001"], depends_on: {job: {condition: service_completed_successfully}}}
  left:    {BOXT, command: [/tools/goclient, right, "7000"], expose: ["7000"]}
  right:   {BOXT, command: [/tools/goclient, left, "7000"], expose: ["7000"]}
`)
		r := p.up()
		for _, test := range []struct {
			client string
			kind   event.Kind
			want   string // in the message
		}{
			{"port", event.WrongPort, "port is refused by db:7002: db listens on 7001 only"},
			{"local", event.Localhost, "local connects to localhost:7001, where nobody listens; db listens on 7001: connect to db:7001"},
			{"waits", event.IsStarting, "waits waits for late:7000: late:7000 does not listen yet"},
			{"fallen", event.HasExited, "fallen is refused by fails:7000: fails exited with code 3: no data"},
			{"tcp", event.UDP, "tcp waits for udp:7000: udp has port 7000 for UDP only, and the connect is TCP"},
			{"careful", event.IsUnhealthy, "careful is refused by sick:7000: sick is unhealthy: no answer"},
			{"after", event.JobFailed, "after is refused by db:7001: job job exited with code 4: no table"},
			{"left", event.InCycle, "left waits for right:7000: left, right wait for each other"},
			{"right", event.InCycle, "right waits for left:7000: left, right wait for each other"},
		} {
			if got := r.wait("the diagnosis of "+test.client, diagnosed(test.client, test.kind)); got.Message != test.want {
				t.Errorf("it says %q, want %q", got.Message, test.want)
			}
		}
		checkWhy(t, p)
		if n := strings.Count(r.printed(), "upall"+strings.Repeat(" ", 6)+"| tcp waits for udp:7000: "); n != 1 {
			t.Errorf("up prints the diagnosis of tcp %d times, want once:\n%s", n, r.printed())
		}
		r.interrupt()
		if said := p.run("why").want(1); !strings.Contains(said.stderr, "is not up") {
			t.Errorf("why says of a project that is over: %q", said.stderr)
		}
	})
}

func checkWhy(t *testing.T, p *pod) {
	t.Helper()
	all := p.run("why").want(0).stdout
	for _, want := range []string{
		"db is ready\n", "late does not listen on port 7000 yet: ", "tcp has waited ", " for udp:7000: udp has port 7000 for UDP only",
		"fails exited with code 3 ", " ago: no data\n", "port is refused by db:7002: db listens on 7001 only (",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("why does not say %q:\n%s", want, all)
		}
	}
	if one := p.run("why", "db").want(0).stdout; one != "db is ready\n" {
		t.Errorf("why db says %q", one)
	}
	if ps := p.run("ps").want(0).stdout; !strings.Contains(ps, "udp has port 7000 for UDP only") {
		t.Errorf("ps does not say why tcp waits:\n%s", ps)
	}
}
