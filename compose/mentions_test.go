package compose

import (
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/google/go-cmp/cmp"
)

func TestNamesHost(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"postgres://user:secret@db:5432/shop": true,
		"http://db":                           true,
		"http://db/path":                      true,
		"http://db.example.org/":              false,
		"db:5432":                             true,
		"cache:6379,db:5432":                  true,
		"--server=db:5432":                    true,
		"wait for db:5432, then go":           true,
		"mydb:5432":                           false,
		"db-2:5432":                           false,
		"db:5432.1":                           false,
		"db":                                  false,
		"the db is late":                      false,
		"http://other/db":                     false,
		"pull db:15":                          false,
		"db:latest":                           false,
	} {
		if got := namesHost(text, "db"); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

func TestMentions(t *testing.T) {
	t.Parallel()
	env := func(key, value string) types.MappingWithEquals { return types.MappingWithEquals{key: &value} }
	in := func(names ...string) map[string]*types.ServiceNetworkConfig {
		networks := map[string]*types.ServiceNetworkConfig{}
		for _, name := range names {
			networks[name] = nil
		}
		return networks
	}
	db := types.ServiceConfig{Networks: in("back")}
	url := env("DATABASE_URL", "postgres://db/shop")
	for name, test := range map[string]struct {
		client, db types.ServiceConfig
		stopped    string
		process    string
		want       []Mention
	}{
		"shares a network":          {client: types.ServiceConfig{Environment: url, Networks: in("front", "back")}, db: db},
		"shares none":               {types.ServiceConfig{Environment: url, Networks: in("front")}, db, "", "", []Mention{{"api", "db", "environment.DATABASE_URL", false}}},
		"is not started":            {types.ServiceConfig{Environment: url, Networks: in("back")}, db, "db", "", []Mention{{"api", "db", "environment.DATABASE_URL", true}}},
		"does not run itself":       {client: types.ServiceConfig{Environment: url, Networks: in("front")}, db: db, stopped: "api"},
		"a process":                 {client: types.ServiceConfig{Environment: url}, db: db, process: "api"},
		"of a process not started":  {types.ServiceConfig{Environment: url}, db, "db", "db", []Mention{{"api", "db", "environment.DATABASE_URL", true}}},
		"in another's namespace":    {client: types.ServiceConfig{Environment: url, NetworkMode: "host"}, db: db},
		"a host by its key":         {types.ServiceConfig{Environment: env("DB_HOST", "db"), Networks: in("front")}, db, "", "", []Mention{{"api", "db", "environment.DB_HOST", false}}},
		"a name that is no host":    {client: types.ServiceConfig{Environment: env("POSTGRES_DB", "db"), Networks: in("front")}, db: db},
		"in the command":            {types.ServiceConfig{Command: types.ShellCommand{"serve", "db:5432"}, Networks: in("front")}, db, "", "", []Mention{{"api", "db", "command", false}}},
		"in the entrypoint":         {types.ServiceConfig{Entrypoint: types.ShellCommand{"serve", "db:5432"}, Networks: in("front")}, db, "", "", []Mention{{"api", "db", "entrypoint", false}}},
		"of one in another's space": {client: types.ServiceConfig{Environment: url, Networks: in("front")}, db: types.ServiceConfig{NetworkMode: "host"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := types.Services{"api": test.client, "db": test.db}
			runs := func(service string) bool { return service != test.stopped }
			isProcess := func(service string) bool { return service == test.process }
			if diff := cmp.Diff(test.want, Mentions(all, runs, isProcess)); diff != "" {
				t.Errorf("mentions (-want +got):\n%s", diff)
			}
		})
	}
}
