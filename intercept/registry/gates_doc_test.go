package registry

import (
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// gatesDoc says what happens to connects at each event. Its second table, of
// starts, is the supervisor's.
const gatesDoc = "../../docs/gates.md"

// What may stand in a cell of the table of connects.
const (
	isHeld     = "held"
	passes     = "passes"
	isRefused  = "refused"
	letThrough = "let through with a warning"
	nothing    = "-"
)

// declaration is a row of the table: what api declares of db, and what db is.
type declaration struct {
	requires Requirement // Service "": nothing
	check    bool
	isJob    bool // api connects to other, not to db
}

var declarations = map[string]declaration{
	"nothing":                                           {},
	"nothing, healthcheck":                              {check: true},
	"service_started":                                   {requires: Requirement{"db", ServiceStarted, true}},
	"service_started, healthcheck":                      {requires: Requirement{"db", ServiceStarted, true}, check: true},
	"service_healthy":                                   {requires: Requirement{"db", ServiceHealthy, true}},
	"service_healthy, healthcheck":                      {requires: Requirement{"db", ServiceHealthy, true}, check: true},
	"service_healthy, healthcheck, required: false":     {requires: Requirement{"db", ServiceHealthy, false}, check: true},
	"service_healthy, healthcheck, gates: {db: none}":   {check: true},
	"service_healthy, healthcheck, gates: {db: start}":  {check: true},
	"service_healthy, healthcheck, ready: listen of db": {requires: Requirement{"db", ServiceHealthy, true}},
	"service_completed_successfully":                    {requires: Requirement{"db", ServiceCompleted, true}, check: true, isJob: true},
	"service_completed_successfully, required: false":   {requires: Requirement{"db", ServiceCompleted, false}, check: true, isJob: true},
	"service_completed_successfully, gates: {db: none}": {check: true, isJob: true},
}

// happenings are the columns of the table: what happens to db, in turn. A nil is
// that the hold timeout is over.
var happenings = map[string][]Input{
	"not started":           {},
	"starts":                {Started{"db"}},
	"listens":               {Started{"db"}, dbListens},
	"becomes healthy":       {Started{"db"}, dbListens, Health{"db", Healthy}},
	"gives up":              {Started{"db"}, dbListens, Health{"db", Unhealthy}},
	"exits 0":               {Started{"db"}, Ended{"db", 0, true}},
	"exits 1":               {Started{"db"}, Ended{"db", 1, true}},
	"is restarted":          {Started{"db"}, dbListens, Health{"db", Healthy}, Ended{"db", 1, false}},
	"hold timeout, silent":  {Started{"db"}, nil},
	"hold timeout, listens": {Started{"db"}, dbListens, nil},
}

var (
	dbAddr    = netip.MustParseAddrPort("10.0.0.1:5432")
	otherAddr = netip.MustParseAddrPort("10.0.0.2:80")
	dbListens = Listened{Instance: "db", At: dbAddr}
)

// TestGatesDoc checks each cell of docs/gates.md that is about connects: for a
// connect that waits when the event happens, and for one that comes after it.
func TestGatesDoc(t *testing.T) {
	t.Parallel()
	columns, rows := tableUnder(t, "## Connects")
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
		for n, cell := range row[1:] {
			t.Run(row[0]+"/"+columns[n+1], func(t *testing.T) {
				inputs, known := happenings[columns[n+1]]
				if !known || !slices.Contains([]string{isHeld, passes, isRefused, letThrough, nothing}, cell) {
					t.Fatalf("the column, or the cell %q, is not known", cell)
				}
				newScene(t, d).check(inputs, cell)
			})
		}
	}
}

// tableUnder reads the first table below a heading, without the marks of code.
func tableUnder(t *testing.T, heading string) (columns []string, rows [][]string) {
	t.Helper()
	text, err := os.ReadFile(gatesDoc)
	if err != nil {
		t.Fatal(err)
	}
	_, below, _ := strings.Cut(string(text), "\n"+heading+"\n")
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
		t.Fatalf("%s has no table under %q", gatesDoc, heading)
	}
	return columns, rows
}

// scene is api, db, and another service that is open to all.
type scene struct {
	*checker
	target netip.AddrPort
	now    time.Time
	fate   map[uint64]string
	lastID uint64
	warned bool // that the gate of api is open in spite of a job
}

func newScene(t *testing.T, d declaration) *scene {
	r := New()
	s := &scene{checker: newChecker(t, r), target: dbAddr, now: epoch, fate: map[uint64]string{}}
	if d.isJob {
		s.target = otherAddr
	}
	api := Instance{Name: "api", Service: "api", Addrs: []netip.Addr{netip.MustParseAddr("10.0.0.3")}, HoldTimeout: time.Minute}
	if d.requires.Service != "" {
		api.Requires = []Requirement{d.requires}
	}
	s.add(Instance{
		Name: "db", Service: "db", Addrs: []netip.Addr{dbAddr.Addr()}, Ports: []uint16{dbAddr.Port()},
		HoldTimeout: time.Minute, HasHealth: d.check,
	})
	s.add(Instance{Name: "other", Service: "other", Addrs: []netip.Addr{otherAddr.Addr()}, HoldTimeout: time.Minute})
	s.add(api)
	s.happen(Started{"other"})
	s.happen(Listened{Instance: "other", At: otherAddr})
	s.happen(Started{"api"})
	return s
}

// check has the inputs happen. A cell without meaning says that the event does
// not come, or changes nothing.
func (s *scene) check(inputs []Input, cell string) {
	if cell == nothing {
		return
	}
	var waits uint64
	for n, in := range inputs {
		if n == len(inputs)-1 {
			waits = s.connect()
		}
		before := s.fate[waits]
		if in == nil {
			s.now = s.now.Add(time.Minute)
			in = Tick{}
		}
		s.happen(in)
		if before == isHeld && s.fate[waits] != cell {
			s.t.Errorf("who waits is %s, want %s", s.fate[waits], cell)
		}
	}
	if len(inputs) > 0 && inputs[len(inputs)-1] == nil {
		return // a later connect has a hold timeout of its own
	}
	if after := s.connect(); s.fate[after] != cell {
		s.t.Errorf("who comes is %s, want %s", s.fate[after], cell)
	}
}

func (s *scene) connect() uint64 {
	s.lastID++
	s.happen(Connect{ID: s.lastID, Client: "api", Target: s.target})
	return s.lastID
}

// happen steps and drains, and notes what becomes of the connects.
func (s *scene) happen(in Input) {
	out := s.step(s.now, in)
	for len(s.drains) > 0 {
		for at := range s.drains {
			out = append(out, s.step(s.now, Take{at, 1})...)
		}
	}
	for n, o := range out {
		switch o := o.(type) {
		case Pass:
			s.pass(o.ID, out[n+1:])
		case Release:
			s.pass(o.ID, out[n+1:])
		case Hold:
			s.fate[o.ID] = isHeld
		case Refuse:
			s.fate[o.ID] = isRefused
		case Expire:
			s.fate[o.ID] = isRefused
		case Warn:
			s.warned = s.warned || o.Server == ""
		}
	}
}

// pass notes a connect that goes on, and whether a warning follows.
func (s *scene) pass(id uint64, then []Output) {
	s.fate[id] = passes
	if len(then) > 0 {
		_, warns := then[0].(Warn)
		s.warned = s.warned || warns
	}
	if s.warned {
		s.fate[id] = letThrough
	}
}
