package status

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"upall/internal/event"
)

func TestReasonLines(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_000_000, 0)
	ago := func(seconds int) time.Time { return now.Add(-time.Duration(seconds) * time.Second) }
	wait := Wait{Target: "db", Port: 5433, Since: ago(12), Cause: "db listens on 5432 only"}
	waits := Diagnosis{At: ago(10), Target: "db", Port: 5433, Kind: event.WrongPort, Message: "api waits for db:5433: db listens on 5432 only"}
	refused := Diagnosis{At: ago(3), Target: "web", Port: 80, Kind: event.NoPort, Message: "api is refused by web:80: web listens on no port"}
	for name, test := range map[string]struct {
		give Reason
		want []string
	}{
		"ready":             {Reason{Status: Status{Ready: true}}, []string{"api is ready"}},
		"ready and refused": {Reason{Status: Status{Ready: true}, Diagnoses: []Diagnosis{refused}}, []string{"api is refused by web:80: web listens on no port (3.0 s ago)"}},
		"waits": {
			Reason{Status: Status{WaitingOn: []Wait{wait}}, Diagnoses: []Diagnosis{waits, refused}},
			[]string{"api has waited 12 s for db:5433: db listens on 5432 only", "api is refused by web:80: web listens on no port (3.0 s ago)"},
		},
		"starts": {
			Reason{Status: Status{Missing: "does not listen on port 80 yet", State: event.Starting, Started: ago(4)}},
			[]string{"api does not listen on port 80 yet: starting (4.0 s)"},
		},
		"unhealthy": {
			Reason{Status: Status{Missing: "is unhealthy", Health: Unhealthy, HealthLog: []Probe{{Output: "no response\n"}}}},
			[]string{"api is unhealthy: no response"},
		},
		"exited": {
			Reason{Status: Status{State: event.Exited, Code: 1, ExitedAt: ago(5)}, LastLine: "no data", Diagnoses: []Diagnosis{refused}},
			[]string{"api exited with code 1 5.0 s ago: no data", "api is refused by web:80: web listens on no port (3.0 s ago)"},
		},
		"completed":  {Reason{Status: Status{State: event.Exited}}, []string{"api exited with code 0"}},
		"stopped":    {Reason{Status: Status{State: event.Exited, Stopped: true}}, []string{"api was stopped"}},
		"restarting": {Reason{Status: Status{State: event.Restarting, Code: 1}}, []string{"api exited with code 1 and restarts"}},
		"failed":     {Reason{Status: Status{State: event.Failed, Message: "no such image"}}, []string{"api failed: no such image"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, test.give.Lines("api", now)); diff != "" {
				t.Errorf("lines (-want +got):\n%s", diff)
			}
		})
	}
}
