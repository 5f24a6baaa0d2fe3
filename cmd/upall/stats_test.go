package main

import (
	"testing"
	"time"

	"upall/supervisor/control"
)

func TestSize(t *testing.T) {
	for bytes, want := range map[float64]string{
		0: "0 B", 999: "999 B", 1000: "1.0 KiB", 1536: "1.5 KiB", 10 << 10: "10 KiB", 1023 << 10: "1.0 MiB", 1 << 30: "1.0 GiB", 5 << 50: "5.0 PiB",
	} {
		if got := size(bytes); got != want {
			t.Errorf("size(%v) = %q, want %q", bytes, got, want)
		}
	}
}

func someStats() control.Stats {
	return control.Stats{
		Interval: time.Second,
		Instances: []control.InstanceStats{
			{Service: "api", Instance: "api-1", CPU: 0.254, Memory: 24 << 20, PIDs: 7},
			{Service: "db", Instance: "db-1", CPU: 1.5, Memory: 1 << 30, PIDs: 12},
		},
		Edges: []control.EdgeStats{
			{
				Client: "api", Target: "db", Port: 5432, Protocol: "tcp", Connects: 12000, Held: 3, Failed: 1, Open: 4, Sent: 4096, Received: 5 << 20,
				ConnectsPerSecond: 2.5, SentPerSecond: 2048, ReceivedPerSecond: 65536, RTT: 42 * time.Microsecond,
			},
			{Client: "api", Address: "2001:db8::1", Port: 443, Protocol: "tcp", Connects: 1},
			{Client: "api", Protocol: "tcp", Connects: 7},
			{Client: "host", FromHost: true, Target: "api", Port: 8080, Protocol: "tcp", Connects: 1, Open: 1, RTT: 1234 * time.Microsecond},
		},
	}
}

func TestStatsTables(t *testing.T) {
	const instances = `NAME   SERVICE  CPU     MEM      PIDS
api-1  api      25.4%   24 MiB   7
db-1   db       150.0%  1.0 GiB  12
`
	const edges = `CLIENT  TARGET             CONNECTS  /S   HELD  FAILED  OPEN  SENT     RECEIVED  SENT/S   RECEIVED/S  RTT
api     db:5432            12000     2.5  3     1       4     4.0 KiB  5.0 MiB   2.0 KiB  64 KiB      42 us
api     [2001:db8::1]:443  1         0    0     0       0     0 B      0 B       0 B      0 B         -
api     others outside     7         0    0     0       0     0 B      0 B       0 B      0 B         -
host    api:8080           1         0    0     0       1     0 B      0 B       0 B      0 B         1.2 ms
`
	const narrow = `CLIENT  TARGET             CONNECTS  /S   HELD  FAILED  OPEN  SENT     RECEIVED
api     db:5432            12000     2.5  3     1       4     4.0 KiB  5.0 MiB
api     [2001:db8::1]:443  1         0    0     0       0     0 B      0 B
api     others outside     7         0    0     0       0     0 B      0 B
host    api:8080           1         0    0     0       1     0 B      0 B
`
	s := someStats()
	if got := instancesTable(s.Instances).Format(0); got != instances {
		t.Errorf("got\n%s\nwant\n%s", got, instances)
	}
	for width, want := range map[int]string{0: edges, 80: narrow} {
		if got := edgesTable(s.Edges).Format(width); got != want {
			t.Errorf("in %d columns:\n%s\nwant\n%s", width, got, want)
		}
	}
}

func TestStatsOfServices(t *testing.T) {
	s := only(someStats(), []string{"db"})
	if len(s.Edges) != 1 || s.Edges[0].Target != "db" || len(s.Instances) != 1 || s.Instances[0].Service != "db" {
		t.Errorf("of db: %+v", s)
	}
	if s := only(someStats(), []string{"host"}); len(s.Edges) != 0 {
		t.Errorf("the host is no service: %+v", s.Edges)
	}
}
