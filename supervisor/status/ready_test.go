package status

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestWaiting(t *testing.T) {
	t.Parallel()
	const all = `
		0 api-1 starting
		0 api-1 starts
		0 db-1 starting
		0 db-1 starts
		0 job-1 starting
		0 job-1 starts
		`
	for _, test := range []struct {
		name, give string
		check      string // an instance with a healthcheck, or of an image that exposes a port
		want       string // "done", what failed, or what is missing
		started    bool
	}{
		{"nothing yet", "", "", "api-1 has not started; db-1 has not started; job-1 has not started", false},
		{"started", all, "", "api-1 has just started; db-1 does not listen on ports 5432, 8008 yet; job-1 has just started", true},
		{"one port", all + "1000\n1000 db-1 listens 8008", "", "db-1 does not listen on port 5432 yet", true},
		{"listens early", all + "1000\n1000 db-1 listens 8008\n1001 db-1 listens 5432", "", "db-1 does not serve yet", true},
		{"ready", all + "1000\n1000 db-1 serves", "", "done", true},
		{"held", all + "500 job-1 waits db 5432\n600 db-1 serves\n3600000", "", "job-1 waits for db:5432", true},
		{"an image with ports", all + "500 db-1 serves\n5000\n5000 job-1 exited", "exposes api-1", "api-1 does not listen yet", true},
		{"an image with ports, which listens after it is healthy", all + "100 api-1 healthy\n500 db-1 serves\n501 job-1 exited\n2000", "exposes api-1", "api-1 does not listen yet", true},
		{"an image with ports, for long", all + "500 db-1 serves\n501 job-1 exited\n10000", "exposes api-1", "done", true},
		{"an image with ports, which listens", all + "500 db-1 serves\n501 job-1 exited\n900 api-1 listens 80\n901 api-1 serves", "exposes api-1", "done", true},
		{"an image with ports, which does not serve yet", all + "500 db-1 serves\n501 job-1 exited\n1900 api-1 listens 80\n2000", "exposes api-1", "api-1 has just started", true},
		{"released", all + "500 job-1 waits db 5432\n600 db-1 serves\n650 job-1 released 500\n1650", "", "done", true},
		{"a job that is done", all + "500 db-1 serves\n600 job-1 exited\n1000", "", "done", true},
		{"a job that failed", all + "500 job-1 exited 3", "", "job-1 exited with code 3", true},
		{"not started", all + "500 job-1 failed", "", "job-1 was not started", true},
		{"failures in a row", all + "500 job-1 exited 3\n501 db-1 exited 1\n502 api-1 exited 1", "", "job-1 exited with code 3", true},
		{"failures by who is unhealthy", all + "400 api-1 exited 1\n500 db-1 unhealthy", "db-1", "db-1 is unhealthy", true},
		{"failures of who waits for a start", "0 job-1 starting\n0 job-1 starts\n9 job-1 exited 3\n9 api-1 failed\n9 db-1 failed", "", "job-1 exited with code 3", true},
		{"a restart", all + "500 db-1 serves\n600 job-1 restarting 1\n1000", "", "job-1 exited with code 1 and restarts", false},
		{"stopping", all + "500 db-1 serves\n600 job-1 stopping\n1000", "", "job-1 is stopping", true},
		{"not healthy yet", all + "500 db-1 serves\n1000", "db-1", "db-1 is not healthy yet", true},
		{"healthy before it serves", all + "500 db-1 healthy\n1000", "db-1", "db-1 does not listen on ports 5432, 8008 yet", true},
		{"healthy", all + "500 db-1 serves\n500 db-1 healthy\n1000", "db-1", "done", true},
		{"healthy, without ports", all + "300 api-1 healthy\n400 db-1 serves\n401 job-1 exited", "api-1", "done", true},
		{"unhealthy", all + "500 db-1 serves\n500 db-1 unhealthy\n1000", "db-1", "db-1 is unhealthy", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			tr := NewTracker(plan(), true)
			if exposes, is := strings.CutPrefix(test.check, "exposes "); is {
				tr.Exposes(exposes)
			} else {
				tr.HasCheck(test.check)
			}
			play(tr, script(t, test.give))
			instances := tr.View().Instances
			done, failed, waiting := Waiting(instances)
			got := strings.Join(waiting, "; ")
			if done {
				got = "done"
			}
			if failed != nil {
				got += failed.Failure()
			}
			if got != test.want || Started(instances) != test.started {
				t.Errorf("got %q, started %v; want %q, %v", got, Started(instances), test.want, test.started)
			}
		})
	}
}

// Who is refused at once waits for nobody, however often it tries.
func TestRefusedAtOnce(t *testing.T) {
	t.Parallel()
	got := play(NewTracker(plan(), true), script(t, `
		0 job-1 starting
		0 job-1 starts
		500 job-1 released 1
		999 job-1 released 2
		1000
		1500 job-1 released 3`))
	if diff := cmp.Diff([]string{"1000 job-1 ready", "1000 job-1 is ready after 1s"}, got); diff != "" {
		t.Errorf("events that follow (-want +got):\n%s", diff)
	}
}

func TestNext(t *testing.T) {
	t.Parallel()
	tr := NewTracker(plan(), true)
	play(tr, script(t, "0 db-1 starting\n0 db-1 starts\n5 job-1 starting\n5 job-1 starts\n7 api-1 starting\n7 api-1 starts"))
	if at, ok := tr.Next(); !ok || !at.Equal(after(1005*time.Millisecond)) {
		t.Errorf("next at %v, %v", at, ok)
	}
	play(tr, script(t, "1005\n1007"))
	if at, ok := tr.Next(); ok {
		t.Errorf("next at %v, and nobody waits for a time", at)
	}
}
