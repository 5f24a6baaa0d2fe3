package supervisor

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"upall/compose"
	"upall/internal/event"
	"upall/supervisor/control"
)

// What a container of the engine has left says which instances were wanted: not those
// that somebody has stopped, and nothing of a project that was to end.
func TestReadLeft(t *testing.T) {
	t.Parallel()
	plan := &compose.Plan{Services: []compose.Service{
		{Name: "db", Instances: []compose.Instance{{Name: "db-1"}}},
		{Name: "api", Instances: []compose.Instance{{Name: "api-1"}}},
	}}
	m := newMachine(plan, Ending{}, nil)
	m.instances[1].Wanted, m.instances[1].State = false, event.Exited
	machine, err := m.save()
	if err != nil {
		t.Fatal(err)
	}
	spec := &control.Spec{Plan: plan}
	for name, tt := range map[string]struct {
		spec  *control.Spec
		state *savedState
		want  map[string]bool
	}{
		"nothing":     {nil, nil, nil},
		"never saved": {spec, nil, map[string]bool{"db-1": true, "api-1": true}},
		"one stopped": {spec, &savedState{Spec: firstSpec, Machine: machine}, map[string]bool{"db-1": true, "api-1": false}},
		"ending":      {spec, &savedState{Spec: firstSpec, Machine: machine, Ending: true}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			private := t.TempDir()
			if tt.spec != nil {
				save(t, filepath.Join(private, firstSpec), tt.spec)
			}
			if tt.state != nil {
				save(t, filepath.Join(private, stateFile), tt.state)
			}
			l, err := readLeft(private)
			if err != nil {
				t.Fatal(err)
			}
			var got map[string]bool
			if l != nil {
				got = l.wanted
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("wanted (- want, + got):\n%s", diff)
			}
		})
	}
}

func save(t *testing.T, path string, what any) {
	t.Helper()
	data, err := json.Marshal(what)
	if err == nil {
		err = os.WriteFile(path, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
