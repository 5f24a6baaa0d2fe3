package registry

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// lifeProject is a database with a healthcheck, what needs it, and a job.
func lifeProject() *Registry {
	r := New()
	at := netip.MustParseAddr
	for _, i := range []Instance{
		{Name: "db", Addrs: []netip.Addr{at("10.0.0.1")}, Ports: []uint16{5432}, HasHealth: true},
		{Name: "api", Addrs: []netip.Addr{at("10.0.0.2")}, Requires: []Requirement{{"job", ServiceCompleted, true}}},
		{Name: "job", Addrs: []netip.Addr{at("10.0.0.3")}},
		{Name: "web", Addrs: []netip.Addr{at("10.0.0.4"), at("fd00::4")}},
		{Name: "pod", Addrs: []netip.Addr{at("10.0.0.4")}},
	} {
		i.Service, i.HoldTimeout = i.Name, 30*time.Second
		r.Add(i)
	}
	return r
}

// TestRestore: after any number of inputs, a Registry that goes on with the lives of
// another decides as that one does.
func TestRestore(t *testing.T) {
	at := netip.MustParseAddrPort
	inputs := []Input{
		Started{"db"},
		Started{"api"},
		Started{"job"},
		Started{"web"},
		Started{"pod"},
		Listened{Instance: "db", At: at("0.0.0.0:5432"), Probe: true},
		Listened{Instance: "web", At: at("[::]:80")},
		Listened{Instance: "pod", At: at("10.0.0.4:81")},
		Served{at("10.0.0.1:5432")},
		Health{"db", Unhealthy},
		Ended{Instance: "job", Final: true},
		Health{"db", Healthy},
		Unlistened{at("10.0.0.4:80")},
		Tick{},
		Ended{Instance: "web", Code: 1},
		Started{"web"},
		Ended{Instance: "pod", Code: 2, Final: true},
	}
	questions := []Input{
		Connect{ID: 1, Client: "api", Target: at("10.0.0.1:5432")},
		Connect{ID: 2, Client: "db", Target: at("10.0.0.4:80")},
		Connect{ID: 3, Client: "db", Target: at("10.0.0.4:81")},
		Connect{ID: 4, Client: "web", Target: at("10.0.0.1:5433")},
		Take{at("10.0.0.1:5432"), 5},
		Tick{},
		Health{"db", Healthy},
		Ended{Instance: "job"},
	}
	for n := range len(inputs) + 1 {
		before := lifeProject()
		now := time.Unix(1000, 0)
		for _, in := range inputs[:n] {
			now = now.Add(time.Second)
			before.Step(now, in)
		}
		after := lifeProject()
		now = now.Add(time.Second)
		after.Restore(now, livesOf(t, before))
		before.Step(now, Tick{})
		after.Step(now, Tick{})
		for _, in := range questions {
			now = now.Add(2 * time.Second)
			was, is := before.Step(now, in), after.Step(now, in)
			if fmt.Sprint(was) != fmt.Sprint(is) {
				t.Errorf("after %d inputs, %T %v: %+v, then %+v", n, in, in, was, is)
			}
		}
	}
}

// livesOf are all lives, through JSON.
func livesOf(t *testing.T, r *Registry) (lives map[string]Life) {
	t.Helper()
	all := map[string]Life{}
	for name := range r.instances {
		all[name] = r.Life(name)
	}
	data, err := json.Marshal(all)
	if err == nil {
		err = json.Unmarshal(data, &lives)
	}
	if err != nil {
		t.Fatal(err)
	}
	return lives
}

// TestRestoreTells what is open, what is to be probed, and whose gates are how.
func TestRestoreTells(t *testing.T) {
	at := netip.MustParseAddrPort
	before, now := lifeProject(), time.Unix(1000, 0)
	for _, in := range []Input{
		Started{"db"},
		Started{"api"},
		Started{"web"},
		Listened{Instance: "db", At: at("0.0.0.0:5432"), Probe: true},
		Listened{Instance: "web", At: at("0.0.0.0:80")},
	} {
		before.Step(now, in)
	}
	after := lifeProject()
	got := slices.Clone(after.Restore(now, livesOf(t, before)))
	want := []Output{Probe{at("10.0.0.1:5432"), "db"}, Open{at("10.0.0.4:80")}, Gate{"api", false}}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("it tells %+v, want %+v", got, want)
	}
	if by := after.Listener(at("10.0.0.4:80")); by != "web" {
		t.Errorf("%q listens", by)
	}
}

// TestHeldBefore: a hold of an earlier Registry waits for its turn, also where its
// target serves, and its timeout counts from its begin.
func TestHeldBefore(t *testing.T) {
	at, now := netip.MustParseAddrPort("10.0.0.4:80"), time.Unix(1000, 0)
	r := lifeProject()
	r.Step(now, Started{"web"})
	r.Step(now, Listened{Instance: "web", At: at})
	began := now.Add(-5 * time.Second)
	got := fmt.Sprintf("%T", r.Step(now, Connect{ID: 7, Client: "db", Target: at, Began: began}))
	got += fmt.Sprintf("%T", slices.Clone(r.Step(now, Connect{ID: 8, Client: "db", Target: at, Began: began}))[0])
	outputs := r.Step(now, Take{at, 1})
	if holds, _ := r.Waiting("db"); holds != 1 || outputs[0] != (Release{7, "web:80 listens", 5 * time.Second}) {
		t.Errorf("%s, then %+v; %d wait", got, outputs, holds)
	}
	late := lifeProject()
	late.Step(now, Connect{ID: 9, Client: "db", Target: at, Began: now.Add(-time.Minute)})
	if holds, _ := late.Waiting("db"); holds != 0 {
		t.Error("a hold outlasts its timeout")
	}
}
