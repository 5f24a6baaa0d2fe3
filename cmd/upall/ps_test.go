package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"upall/compose"
	"upall/internal/event"
	"upall/supervisor/control"
	"upall/supervisor/status"
)

// psNow is when the rows are looked at.
var psNow = time.Date(2026, 5, 4, 12, 30, 0, 0, time.UTC)

// composeLine is what Compose says of a container.
const composeLine = `1 {"ID":"6d4d","Name":"shop-db-1","Service":"db","State":"running","Status":"Up 3 seconds","Image":"postgres",` +
	`"Publishers":[{"URL":"0.0.0.0","TargetPort":5432,"PublishedPort":15432,"Protocol":"tcp"},{"URL":"::","TargetPort":5432,"PublishedPort":15432,"Protocol":"tcp"},{"URL":"","TargetPort":8008,"PublishedPort":0,"Protocol":"tcp"}]}` + "\n"

func somePsRows(t *testing.T) []psRow {
	t.Helper()
	containers, err := parseContainers(composeLine + ` {"ID":"77","Name":"shop-tool-run-1","Service":"tool","State":"running","Status":"Up 2 minutes"}` + "\n")
	if err != nil || len(containers) != 2 {
		t.Fatalf("containers: %v, %v", containers, err)
	}
	before := func(d time.Duration) time.Time { return psNow.Add(-d) }
	api := status.Status{
		Service: "api", Instance: "api-1", Runtime: compose.Process, State: event.StateWaiting, Started: before(4 * time.Second), Declared: []uint16{8080}, PID: 42,
		WaitingOn: []status.Wait{{Target: "db", Port: 5432, Since: before(3100 * time.Millisecond), Cause: "job migrate has not completed"}},
	}
	db := status.Status{
		Service: "db", Instance: "db-1", Runtime: compose.Engine, State: event.StateListening, Started: before(3 * time.Second), ContainerID: "6d4d",
		Declared: []uint16{5432, 8008}, Ports: []uint16{5432}, Restarts: 2,
	}
	job := status.Status{Service: "job", Instance: "job-1", Runtime: compose.Process, State: event.Exited, ExitedAt: before(5 * time.Second)}
	web := status.Status{Service: "web", Instance: "web-1", Runtime: compose.Process, State: event.StateReady, Ready: true, ReadyAfter: time.Second, Declared: []uint16{80}}
	published := publishedOf(control.Snapshot{Published: []control.Published{
		{Instance: "api-1", HostPort: 8080, Target: 8080, Protocol: "tcp"},
		{Instance: "api-1", HostIP: "127.0.0.1", HostPort: 53, Target: 53, Protocol: "udp"},
		{Instance: "other-1", HostPort: 1, Target: 1, Protocol: "tcp"},
	}}, "api-1")
	rows := []psRow{{Status: api, published: published}, {Status: db}, {Status: job}, {Status: web}}
	for n := range rows {
		if rows[n].isOf(containers[0]) {
			rows[n].container, rows[n].published = containers[0], containers[0].Publishers
		}
	}
	return append(rows, psRow{Status: status.Status{Service: "tool", Runtime: compose.Engine, ContainerID: "77"}, container: containers[1]})
}

func TestPsTable(t *testing.T) {
	want := strings.TrimPrefix(`
NAME             SERVICE  RUNTIME  STATE                     PORTS                                                 RESTARTS  WAITING ON
api-1            api      process  waiting                   0.0.0.0:8080->(8080)/tcp, 127.0.0.1:53->53/udp        0         db:5432 for 3.1 s (job migrate has not completed)
db-1             db       engine   listening, not ready yet  0.0.0.0:15432->5432/tcp, (8008)                       2
job-1            job      process  exited (0) 5.0 s ago                                                            0
web-1            web      process  ready (1.0 s)             80                                                    0
shop-tool-run-1  tool     engine   up 2 minutes                                                                    0
`, "\n")
	squeezed := func(text string) string {
		var lines []string
		for line := range strings.Lines(text) {
			lines = append(lines, strings.Join(strings.Fields(line), " "))
		}
		return strings.Join(lines, "\n")
	}
	if diff := cmp.Diff(squeezed(want), squeezed(psTable(somePsRows(t), psNow).Format(0))); diff != "" {
		t.Errorf("the table (-want +got):\n%s", diff)
	}
	for line := range strings.Lines(psTable(somePsRows(t), psNow).Format(80)) {
		if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 80 {
			t.Errorf("%d characters: %s", n, line)
		}
	}
}

// TestPsJSON: what the engine says stays, and processes have the same fields.
func TestPsJSON(t *testing.T) {
	rows := somePsRows(t)
	fields := func(n int) (m map[string]any) {
		text, err := json.Marshal(rows[n].json("shop", psNow))
		if err == nil {
			err = json.Unmarshal(text, &m)
		}
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	api, db, tool := fields(0), fields(1), fields(4)
	for name, want := range map[string]any{
		"Name": "api-1", "Project": "shop", "Service": "api", "State": "running", "Status": "waiting", "ExitCode": 0.0, "RunningFor": "4.0 s ago",
		"Ports": "0.0.0.0:8080->8080/tcp, [::]:8080->8080/tcp, 127.0.0.1:53->53/udp",
	} {
		if api[name] != want {
			t.Errorf("api's %s is %v, want %v", name, api[name], want)
		}
	}
	for name, want := range map[string]any{"Name": "shop-db-1", "ID": "6d4d", "Image": "postgres", "State": "running", "Status": "Up 3 seconds"} {
		if db[name] != want {
			t.Errorf("db's %s is %v, want %v", name, db[name], want)
		}
	}
	if upall, ok := db["Upall"].(map[string]any); !ok || upall["state"] != "listening" {
		t.Errorf("db's instance is %v", db["Upall"])
	}
	if _, is := tool["Upall"]; is || tool["Name"] != "shop-tool-run-1" {
		t.Errorf("a container that is no instance: %v", tool)
	}
}

func TestPsShows(t *testing.T) {
	rows := somePsRows(t)
	for _, test := range []struct {
		flags psFlags
		want  string
		hint  string
	}{
		{psFlags{}, "api db web tool", "1 exited (-a shows it)"},
		{psFlags{all: true}, "api db job web tool", ""},
		{psFlags{status: []string{"running"}}, "api db web tool", "1 exited (-a shows it)"},
		{psFlags{status: []string{"ready", "exited"}}, "job web", "1 running, 1 waiting, 1 listening (-a shows them)"},
	} {
		var shown []psRow
		for _, r := range rows {
			if test.flags.shows(r) {
				shown = append(shown, r)
			}
		}
		if got := strings.Join(servicesOf(shown), " "); got != test.want {
			t.Errorf("%+v: got %s, want %s", test.flags, got, test.want)
		}
		if got := hidden(rows, shown); got != test.hint {
			t.Errorf("%+v: got %q, want %q", test.flags, got, test.hint)
		}
	}
	if diff := cmp.Diff([]string{"42", "6d4d", "77"}, idsOf(rows)); diff != "" {
		t.Errorf("IDs (-want +got):\n%s", diff)
	}
}

func TestParseMoment(t *testing.T) {
	for text, want := range map[string]time.Time{
		"": {}, "10m": psNow.Add(-10 * time.Minute), "1h30m": psNow.Add(-90 * time.Minute),
		"2026-05-04T12:00:00Z": psNow.Add(-30 * time.Minute), "2026-05-04T14:00:00.5+02:00": psNow.Add(-30*time.Minute + 500*time.Millisecond),
		"2026-05-04T12:00:00": psNow.Add(-30 * time.Minute), "2026-05-04T12:00": psNow.Add(-30 * time.Minute), "2026-05-04": psNow.Add(-12*time.Hour - 30*time.Minute),
		"1777897800": psNow, "1777897800.25": psNow.Add(250 * time.Millisecond),
	} {
		if got, err := parseMoment(text, psNow); err != nil || !got.Equal(want) {
			t.Errorf("%q: got %v (%v), want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"yesterday", "12:30", "1.x", "-"} {
		if _, err := parseMoment(text, psNow); !isUsageError(err) {
			t.Errorf("%q: got %v, want an error in how it was called", text, err)
		}
	}
}
