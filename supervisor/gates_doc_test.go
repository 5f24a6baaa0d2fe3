package supervisor

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"upall/compose"
	"upall/internal/event"
)

// gatesDoc says what happens to starts at each event. Its first table, of
// connects, is the registry's.
const gatesDoc = "../docs/gates.md"

// What may stand in a cell of the table of starts.
const (
	startsAtOnce = "starts at once"
	startWaits   = "start waits"
	startsNow    = "starts"
	startsWarned = "starts with a warning"
	notToStart   = "not started"
	isRestarted  = "restarted"
	noMeaning    = "-"
)

// declaration is a row of the table as it stands in a compose file. db waits for
// first, so that there is a time at which it has not started.
type declaration struct {
	condition string // "": api declares nothing
	more      string // of the entry
	gate      string // x-upall: gates
	check     bool   // db has a healthcheck
	volume    bool   // both mount one
}

var declarations = map[string]declaration{
	"nothing":                                       {},
	"service_started":                               {condition: "service_started"},
	"service_started, restart: true":                {condition: "service_started", more: ", restart: true"},
	"service_healthy, healthcheck":                  {condition: "service_healthy", check: true},
	"service_completed_successfully":                {condition: "service_completed_successfully"},
	"service_completed_successfully, shared volume": {condition: "service_completed_successfully", volume: true},
	"service_completed_successfully, shared volume, required: false":      {condition: "service_completed_successfully", volume: true, more: ", required: false"},
	"service_completed_successfully, shared volume, gates: {db: connect}": {condition: "service_completed_successfully", volume: true, gate: "connect"},
	"service_completed_successfully, gates: {db: start}":                  {condition: "service_completed_successfully", gate: "start"},
	"service_started, gates: {db: start}":                                 {condition: "service_started", gate: "start"},
	"service_healthy, gates: {db: start}":                                 {condition: "service_healthy", gate: "start"},
	"service_healthy, healthcheck, gates: {db: start}":                    {condition: "service_healthy", gate: "start", check: true},
	"service_healthy, healthcheck, gates: {db: start}, required: false":   {condition: "service_healthy", gate: "start", check: true, more: ", required: false"},
}

// happenings are the columns of the table: what happens to db, in turn.
var happenings = map[string][]any{
	"not started":     {},
	"starts":          {firstEnds},
	"listens":         {firstEnds, readied{"db-1"}},
	"becomes healthy": {firstEnds, readied{"db-1"}, healthSays{"db-1", event.Healthy}},
	"gives up":        {firstEnds, readied{"db-1"}, healthSays{"db-1", event.Unhealthy}},
	"exits 0":         {firstEnds, ended{instance: "db-1", code: 0, then: over}},
	"exits 1":         {firstEnds, ended{instance: "db-1", code: 1, then: over}},
	"is restarted":    {firstEnds, ended{instance: "db-1", code: 1, then: restarts}, began{instance: "db-1"}},
}

// byRequest is the last column for who is restarted together with db.
var byRequest = []any{firstEnds, restartServices{services: []string{"db"}}}

var firstEnds = ended{instance: "first-1", code: 0, then: over}

// TestGatesDoc checks each cell of docs/gates.md that is about starts, from the
// compose file on.
func TestGatesDoc(t *testing.T) {
	t.Parallel()
	columns, rows := startsTable(t)
	for name := range declarations {
		if !slices.ContainsFunc(rows, func(row []string) bool { return row[0] == name }) {
			t.Errorf("the table has no row %q", name)
		}
	}
	if len(columns) != len(happenings)+1 {
		t.Errorf("the table has %d events, want %d", len(columns)-1, len(happenings))
	}
	for _, row := range rows {
		d, known := declarations[row[0]]
		if !known {
			t.Errorf("the row %q is not known here", row[0])
			continue
		}
		plan := d.plan(t)
		for n, cell := range row[1:] {
			t.Run(row[0]+"/"+columns[n+1], func(t *testing.T) {
				inputs, known := happenings[columns[n+1]]
				if !known {
					t.Fatal("the column is not known")
				}
				if cell == isRestarted {
					inputs = byRequest
				}
				newScene(t, plan).check(inputs, cell)
			})
		}
	}
}

// startsTable reads the table, without the marks of code.
func startsTable(t *testing.T) (columns []string, rows [][]string) {
	t.Helper()
	text, err := os.ReadFile(gatesDoc)
	if err != nil {
		t.Fatal(err)
	}
	_, below, _ := strings.Cut(string(text), "\n## Starts\n")
	section, _, _ := strings.Cut(below, "\n## ")
	for line := range strings.Lines(strings.ReplaceAll(section, "`", "")) {
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|---") {
			continue
		}
		var cells []string
		for cell := range strings.SplitSeq(strings.Trim(line, "|\n"), "|") {
			cells = append(cells, strings.TrimSpace(cell))
		}
		if columns == nil {
			columns = cells
		} else if rows = append(rows, cells); len(cells) != len(columns) {
			t.Fatalf("the row %q has %d cells, want %d", cells[0], len(cells), len(columns))
		}
	}
	if len(rows) == 0 {
		t.Fatalf("%s has no table of starts", gatesDoc)
	}
	return columns, rows
}

// plan is of a project that declares it so.
func (d declaration) plan(t *testing.T) *compose.Plan {
	t.Helper()
	var api, db, file strings.Builder
	if d.condition != "" {
		fmt.Fprintf(&api, ", depends_on: {db: {condition: %s%s}}", d.condition, d.more)
	}
	if d.gate != "" {
		fmt.Fprintf(&api, ", x-upall: {gates: {db: %s}}", d.gate)
	}
	if d.check {
		db.WriteString(", healthcheck: {test: [CMD, ask]}")
	}
	if d.volume {
		api.WriteString(", volumes: ['data:/data']")
		db.WriteString(", volumes: ['data:/data']")
	}
	fmt.Fprintf(&file, "name: gates\nservices:\n  api: {image: i%s}\n", api.String())
	fmt.Fprintf(&file, "  db: {image: i%s, depends_on: {first: {condition: service_completed_successfully}}, x-upall: {gates: {first: start}}}\n", db.String())
	file.WriteString("  first: {image: i}\nvolumes: {data: {}}\n")
	path := filepath.Join(t.TempDir(), "compose.yaml")
	if err := os.WriteFile(path, []byte(file.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	project, err := compose.Load(t.Context(), compose.Options{Files: []string{path}})
	if err != nil {
		t.Fatal(err)
	}
	plan, err := compose.NewPlan(project, compose.PlanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for n := range plan.Services {
		s := &plan.Services[n]
		for i := range s.Instances {
			s.Instances[i].Name = fmt.Sprintf("%s-%d", s.Name, i+1)
		}
	}
	return plan
}

// scene is a project in which api depends on db.
type scene struct {
	*testing.T
	machine *machine
	now     time.Time
}

func newScene(t *testing.T, plan *compose.Plan) *scene {
	s := &scene{t, newMachine(plan, Ending{}, nil), time.Unix(1_000_000, 0)}
	for _, i := range s.machine.instances {
		i.HasCheck = i.service.Health != nil
	}
	return s
}

// check has the inputs happen, and looks what the last of them does to api.
func (s *scene) check(inputs []any, cell string) {
	out := s.machine.step(s.now, begin{})
	before := event.Created
	for _, in := range inputs {
		before = s.machine.find("api-1").State
		s.now = s.now.Add(time.Second)
		out = s.machine.step(s.now, in)
	}
	api := s.machine.find("api-1")
	waited := before == event.Created && api.State == event.Starting
	var is bool
	switch cell {
	case startsAtOnce, startsNow:
		is = waited && does(out, "start api-1") && !warns(out)
	case startsWarned:
		is = waited && does(out, "start api-1") && warns(out)
	case startWaits:
		is = api.State == event.Created && !warns(out)
	case notToStart:
		is = before == event.Created && api.State == event.Failed && api.Code != 0 && !warns(out)
	case noMeaning:
		is = before == event.Starting && api.State == event.Starting && !concerns(out, "api-1")
	case isRestarted:
		is = s.restarts(out)
	default:
		s.Fatalf("the cell %q is not known", cell)
	}
	if !is {
		s.Errorf("api was %q and is %q after %v, want %q", before, api.State, machineLines(out), cell)
	}
}

// restarts tells whether api goes down before db, and comes up again with it.
func (s *scene) restarts(out []any) bool {
	if !does(out, "stop api-1") || does(out, "stop db-1") {
		return false
	}
	out = s.machine.step(s.now, ended{instance: "api-1"})
	if !does(out, "stop db-1") || does(out, "start api-1") {
		return false
	}
	out = s.machine.step(s.now, ended{instance: "db-1"})
	return does(out, "start db-1") && does(out, "start api-1")
}

func does(out []any, line string) bool { return slices.Contains(machineLines(out), line) }

func warns(out []any) bool { return concerns(out, "warn") }

func concerns(out []any, word string) bool {
	return slices.ContainsFunc(machineLines(out), func(line string) bool { return strings.Contains(line, word) })
}
