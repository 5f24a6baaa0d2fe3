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
// that have ended, and nothing of a project that was to end. What was not brought up yet
// is found again, by every life.
func TestReadRemains(t *testing.T) {
	t.Parallel()
	plan := &compose.Plan{Services: []compose.Service{
		{Name: "db", Instances: []compose.Instance{{Name: "db-1"}}},
		{Name: "api", Instances: []compose.Instance{{Name: "api-1"}}},
		{Name: "job", Instances: []compose.Instance{{Name: "job-1"}}},
	}}
	machineOf := func(change func(m *machine)) json.RawMessage {
		m := newMachine(plan, Ending{}, nil)
		change(m)
		data, err := m.save()
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	ended := machineOf(func(m *machine) {
		m.instances[0].State = event.Restarting
		m.instances[1].Wanted, m.instances[1].State = false, event.Exited
		m.instances[2].State = event.Exited
	})
	spec := &control.Spec{Plan: plan}
	only := map[string]bool{"db-1": true}
	for name, tt := range map[string]struct {
		files map[string]any
		life  int
		want  map[string]bool
	}{
		"nothing":       {nil, 1, nil},
		"never saved":   {map[string]any{firstSpec: spec}, 1, map[string]bool{"db-1": true, "api-1": true, "job-1": true}},
		"some ended":    {map[string]any{firstSpec: spec, stateFile: savedState{Spec: firstSpec, Machine: ended}}, 1, map[string]bool{"db-1": true, "api-1": false, "job-1": false}},
		"ending":        {map[string]any{firstSpec: spec, stateFile: savedState{Spec: firstSpec, Machine: ended, Ending: true}}, 1, nil},
		"stopped":       {map[string]any{firstSpec: spec, stateFile: savedState{Spec: firstSpec, Machine: machineOf(func(m *machine) { m.stopping = true })}}, 1, nil},
		"a later life":  {map[string]any{firstSpec: spec}, 2, nil},
		"still to come": {map[string]any{remainsFile: remains{Spec: spec, Wanted: only}}, 2, only},
		"come again":    {map[string]any{firstSpec: spec, remainsFile: remains{Spec: spec, Wanted: only}}, 1, only},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			private := t.TempDir()
			for name, content := range tt.files {
				save(t, filepath.Join(private, name), content)
			}
			r, err := readRemains(private, tt.life)
			if err != nil {
				t.Fatal(err)
			}
			var got map[string]bool
			if r != nil {
				got = r.Wanted
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
