package timeline

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"upall/compose"
	"upall/supervisor/record"
)

// steps are the segments of a path as text.
func steps(p *Path) (lines []string) {
	if p == nil {
		return nil
	}
	for _, s := range p.Segments {
		lines = append(lines, fmt.Sprintf("%d-%d %s %s", s.From.Milliseconds(), s.To.Milliseconds(), s.Instance, s.What))
	}
	return lines
}

func TestCriticalPath(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, script string
		declares     []func(*record.Plan)
		want         []string
	}{
		{"chain", chainScript, nil, []string{
			"0-100 db-1 until it runs", "100-5900 db-1 from start to listen", "5900-6100 db-1 from listen to serve",
			"6100-6101 api-1 held on db:5432", "6101-6800 api-1 from connect to db:5432 to listen",
			"6800-6802 web-1 held on api:8080", "6802-7000 web-1 from connect to api:8080 to listen",
		}},
		{"diamond: the slower side counts", `
			0 a-1 starting
			0 b-1 starting
			0 c-1 starting
			0 d-1 starting
			10 a-1 starts
			10 b-1 starts
			10 c-1 starts
			10 d-1 starts
			20 b-1 waits 1 a 1
			20 c-1 waits 2 a 1
			20 d-1 waits 3 b 1
			1000 a-1 listens 1
			1000 a-1 ready
			1001 b-1 released 1
			1001 c-1 released 2
			1100 b-1 listens 1
			1100 b-1 ready
			1101 d-1 released 3
			1110 d-1 waits 4 c 1
			3000 c-1 listens 1
			3000 c-1 ready
			3001 d-1 released 4
			3100 d-1 ready`, nil, []string{
			"0-10 a-1 until it runs", "10-1000 a-1 from start to listen", "1000-1001 c-1 held on a:1", "1001-3000 c-1 from connect to a:1 to listen",
			"3000-3001 d-1 held on c:1", "3001-3100 d-1 from connect to c:1 to ready",
		}},
		{"a job that connects wait for", `
			0 api-1 starting
			0 db-1 starting
			0 job-1 starting
			10 api-1 starts
			10 db-1 starts
			10 job-1 starts
			20 api-1 waits 1 db 1
			500 db-1 listens 1
			500 db-1 ready
			2000 job-1 exited 0
			2001 api-1 released 1
			2200 api-1 ready`, []func(*record.Plan){gate("api", "job", compose.GateConnect, compose.Completed)}, []string{
			"0-10 job-1 until it runs", "10-2000 job-1 from start to exit", "2000-2001 api-1 held on db:1", "2001-2200 api-1 from connect to db:1 to ready",
		}},
		{"a job that the start waits for", `
			0 api-1 created
			0 job-1 starting
			10 job-1 starts
			2000 job-1 exited 0
			2010 api-1 starting
			2100 api-1 starts
			2200 api-1 listens 1
			2500 api-1 ready`, []func(*record.Plan){gate("api", "job", compose.GateStart, compose.Completed)}, []string{
			"0-10 job-1 until it runs", "10-2000 job-1 from start to exit", "2000-2100 api-1 starts after job has exited",
			"2100-2200 api-1 from start to listen", "2200-2500 api-1 from listen to ready",
		}},
		{"a start that waits for health", `
			0 api-1 created
			0 db-1 starting
			10 db-1 starts
			500 db-1 listens 1
			900 db-1 healthy
			900 db-1 ready
			910 api-1 starting
			1000 api-1 starts
			1200 api-1 ready`, []func(*record.Plan){gate("api", "db", compose.GateStart, compose.Healthy)}, []string{
			"0-10 db-1 until it runs", "10-500 db-1 from start to listen", "500-900 db-1 from listen to healthy",
			"900-1000 api-1 starts after db is healthy", "1000-1200 api-1 from start to ready",
		}},
		{"health", `
			0 api-1 starting
			0 db-1 starting
			10 api-1 starts
			10 db-1 starts
			20 api-1 waits 1 db 1
			500 db-1 listens 1
			500 db-1 serves
			1500 db-1 healthy
			1500 db-1 ready
			1501 api-1 released 1
			1600 api-1 ready`, nil, []string{
			"0-10 db-1 until it runs", "10-500 db-1 from start to serve", "500-1500 db-1 from serve to healthy", "1500-1501 api-1 held on db:1",
			"1501-1600 api-1 from connect to db:1 to ready",
		}},
		{"a restart during the start", `
			0 api-1 starting
			10 api-1 starts
			1000 api-1 restarting 3
			1100 api-1 starting
			1200 api-1 starts
			1500 api-1 ready`, nil, []string{
			"0-10 api-1 until it runs", "10-1000 api-1 from start to exit with 3", "1000-1200 api-1 restarts", "1200-1500 api-1 from start to ready",
		}},
		{"who failed is no part of it", `
			0 api-1 starting
			0 db-1 starting
			10 api-1 starts
			10 db-1 starts
			100 db-1 ready
			900 api-1 exited 1`, nil, []string{"0-10 db-1 until it runs", "10-100 db-1 from start to ready"}},
		{"a refused hold, and another try", `
			0 api-1 starting
			10 api-1 starts
			100 api-1 waits 1 db 1
			400 api-1 refused 1
			600 api-1 ready`, nil, []string{
			"0-10 api-1 until it runs", "10-100 api-1 from start to connect to db:1", "100-400 api-1 held on db:1, refused", "400-600 api-1 from connect to db:1 to ready",
		}},
		{"a crowd: the server had listened before", `
			0 api-1 starting
			0 db-1 starting
			10 api-1 starts
			10 db-1 starts
			50 db-1 listens 1
			60 db-1 ready
			100 api-1 waits 1 db 1
			400 api-1 released 1
			600 api-1 ready`, nil, []string{
			"0-10 api-1 until it runs", "10-100 api-1 from start to connect to db:1", "100-400 api-1 held on db:1, released", "400-600 api-1 from connect to db:1 to ready",
		}},
		{"a job that was slow to connect", `
			0 job-1 starting
			0 db-1 starting
			10 job-1 starts
			10 db-1 starts
			1010 job-1 ready
			1100 job-1 waits 1 db 1
			2000 db-1 listens 1
			2000 db-1 ready
			2001 job-1 released 1
			2100 job-1 exited 0`, nil, []string{
			"0-10 db-1 until it runs", "10-2000 db-1 from start to listen", "2000-2001 job-1 held on db:1", "2001-2100 job-1 from connect to db:1 to exit",
		}},
		{"two that waited for each other", `
			0 a-1 starting
			0 b-1 starting
			10 a-1 starts
			10 b-1 starts
			20 a-1 waits 1 b 1
			20 b-1 waits 2 a 1
			100 a-1 listens 1
			100 b-1 listens 1
			100 a-1 released 1
			100 b-1 released 2
			100 a-1 ready
			100 b-1 ready`, nil, []string{"0-10 a-1 until it runs", "10-100 a-1 from start to listen"}},
		{"still starting", "0 api-1 starting\n10 api-1 starts\n20 api-1 waits 1 db 1\n", nil, nil},
		{"stopped before it was ready", "0 api-1 starting\n10 api-1 starts\n20 api-1 stopping\n30 api-1 exited 0", nil, nil},
		{"a later `upall up` is no start", `
			0 api-1 starting
			10 api-1 starts
			20 api-1 ready
			30 project up
			9000 web-1 starting
			9010 web-1 starts
			9020 web-1 ready`, nil, []string{"0-10 api-1 until it runs", "10-20 api-1 from start to ready"}},
		{"nothing", "", nil, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := New(play(t, test.script, test.declares...)).Path
			if diff := cmp.Diff(test.want, steps(got)); diff != "" {
				t.Errorf("critical path (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSummary(t *testing.T) {
	t.Parallel()
	want := "db cost 6.10 s of 7.00 s: 5.80 s from start to listen, 200 ms from listen to serve; besides api 700 ms, web 200 ms"
	if got := New(play(t, chainScript)).Path.Summary(); got != want {
		t.Errorf("got:  %s\nwant: %s", got, want)
	}
}
