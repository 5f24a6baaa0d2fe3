package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"upall/internal/event"
)

// records are the files in which the runs of root's project are on record.
func (p *project) records() []string {
	p.t.Helper()
	all, err := filepath.Glob(filepath.Join(p.runs(), "*.jsonl"))
	if err != nil {
		p.t.Fatal(err)
	}
	return all
}

func (p *project) runs() string { return "/run/upall/" + p.name + ".runs" }

// forget removes what is on record of the project.
func (p *project) forget() {
	p.t.Helper()
	for _, base := range []string{"/run/upall", fmt.Sprintf("/tmp/upall-%d", p.user.UID)} {
		if err := os.RemoveAll(filepath.Join(base, p.name+".runs")); err != nil {
			p.t.Errorf("remove records: %v", err)
		}
	}
}

// TestE2ERecordCrash: a record goes on over crashes of the supervisor, and counts
// no connect twice.
func TestE2ERecordCrash(t *testing.T) {
	t.Parallel()
	p := newProject(t, root(t), `
  server: {command: [TOOLS/server], expose: ["7000"]}
  client: {command: [sh, -c, "TOOLS/goclient server 7000; read -r gate < HERE/gate; TOOLS/goclient late 7001"]}
  late:   {command: [TOOLS/server, -port, "7001", -gate, HERE/late], expose: ["7001"]}
`)
	gate, late := p.gate("gate"), p.gate("late")
	r := p.up()
	r.wait("the first connect", func(e event.Event) bool { return e.Type == event.Connected })
	p.crashOften(2, 100*time.Millisecond)
	gate.open()
	r.wait("a hold", holdBegan("client", "late"))
	p.crashOften(1, 100*time.Millisecond)
	late.open()
	r.waitExit("client")
	r.interrupt()
	p.observes(`
client late:7001/tcp 1
client server:7000/tcp 1
`)
	file, err := os.Open(p.records()[0])
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close() //nolint:errcheck // it is read
	crashes, ends := 0, 0
	for lines := json.NewDecoder(file); lines.More(); {
		var line struct{ Event event.Event }
		if err := lines.Decode(&line); err != nil {
			t.Fatal(err)
		}
		switch e := line.Event; {
		case e.Type == event.Crashed:
			crashes++
		case e.Type == event.HoldEnded && e.Target == "late":
			ends++
		}
	}
	if crashes < 1 || crashes > 3 || ends != 1 { // a life that is killed at once may not have written of the crash before
		t.Errorf("%d crashes and %d ends of the hold are on record, want up to 3 and 1", crashes, ends)
	}
}

// TestE2ERecordRuns: each run has a record of its own, and down removes them.
func TestE2ERecordRuns(t *testing.T) {
	t.Parallel()
	p := newProject(t, root(t), `
  job: {command: ["true"]}
`)
	for range 2 {
		if code := p.up().end(); code != 0 {
			t.Errorf("upall ended with code %d", code)
		}
	}
	if all := p.records(); len(all) != 2 {
		t.Errorf("records: %q, want 2", all)
	}
	if out, err := p.command("down").CombinedOutput(); err != nil {
		t.Errorf("down: %v\n%s", err, out)
	}
	if exists(p.runs()) {
		t.Error("down has left the records")
	}
}

// TestE2ERecordUnwritable: without a place for the record the services run all the
// same, and it is said once.
func TestE2ERecordUnwritable(t *testing.T) {
	t.Parallel()
	p := newProject(t, root(t), `
  server: {command: [TOOLS/server, -delay, 300ms], expose: ["7000"]}
  client: {command: [TOOLS/goclient, server, "7000"]}
`)
	if err := os.MkdirAll(filepath.Dir(p.runs()), 0o711); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p.runs(), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(p.runs()) //nolint:errcheck // it may be gone
	r := p.up("--exit-code-from", "client")
	if code := r.end(); code != 0 {
		t.Errorf("upall ended with code %d", code)
	}
	if n := strings.Count(r.errorText(), "will know nothing of this run"); n != 1 {
		t.Errorf("it was said %d times", n)
	}
}
