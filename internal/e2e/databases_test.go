package e2e

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"upall/internal/event"
	"upall/internal/testenv"
)

// postgresRuns is how many starts in a row have to serve their first clients.
const postgresRuns = 20

// PostgreSQL turns logins away for some milliseconds after its first listen.
// A client that upall releases must not meet that.
func TestE2EPostgresStarts(t *testing.T) {
	t.Parallel()
	postgres, initdb := testenv.NeedProgram(t, "postgres"), testenv.NeedProgram(t, "initdb")
	testenv.NeedProgram(t, "psql")
	needCompiled(t, "query")
	runs := postgresRuns
	if testing.Short() {
		runs = 5
	}
	users(t, func(t *testing.T, account testenv.User) {
		owner := databaseOwner(t, account)
		data := filepath.Join(owner.TempDir(t), "data")
		if out, err := owner.Command(t, initdb, "--pgdata="+data, "--username=postgres", "--auth=trust", "--no-sync").CombinedOutput(); err != nil {
			t.Fatalf("initdb: %v\n%s", err, out)
		}
		services := `
  postgres:
    command: [sh, -c, "read -r gate < HERE/gate; exec ` + postgres + ` -D ` + data + ` -k '' -c listen_addresses=* -c fsync=off"]
    user: "` + owner.Name + `"
    stop_signal: SIGINT
    expose: ["5432"]
  psql:  {command: [psql, -h, postgres, -U, postgres, -Atc, select 6 * 7]}
  libpq: {command: [TOOLS/query, "host=postgres user=postgres"]}
`
		if account.UID != 0 {
			services = strings.Replace(services, "    user: \""+owner.Name+"\"\n", "", 1)
		}
		for i := range runs {
			t.Run(strconv.Itoa(i+1), func(t *testing.T) {
				servesFirstClients(t, newProject(t, account, services), "postgres", map[string]string{"psql": "42", "libpq": "ok 42"})
			})
		}
	})
}

// databaseOwner is who runs a database for the user: PostgreSQL refuses root.
func databaseOwner(t *testing.T, account testenv.User) testenv.User {
	t.Helper()
	if account.UID != 0 {
		return account
	}
	found, err := user.Lookup("postgres")
	if err != nil {
		testenv.Need(t, false, "the user postgres")
		return account
	}
	uid, uidErr := strconv.Atoi(found.Uid)
	gid, gidErr := strconv.Atoi(found.Gid)
	if uidErr != nil || gidErr != nil {
		t.Fatalf("read the account of postgres: uid %q, gid %q", found.Uid, found.Gid)
	}
	return testenv.User{Name: found.Username, UID: uid, GID: gid, Home: account.Home}
}

// servesFirstClients lets a server start when all clients wait for it.
func servesFirstClients(t *testing.T, p *project, server string, clients map[string]string) {
	t.Helper()
	gate := p.gate("gate")
	r := p.up()
	for client := range clients {
		r.wait(client+"'s hold", holdBegan(client, server))
	}
	gate.open()
	for client, want := range clients {
		if code := r.waitExit(client); code != 0 {
			t.Errorf("%s ended with code %d, want 0", client, code)
		}
		if said := r.output(client); !strings.Contains(said, want) {
			t.Errorf("%s said %q, want %q", client, said, want)
		}
		if ended := r.wait("the end of the hold", holdEnded(client, server)); ended.End != event.Released {
			t.Errorf("the hold of %s was %s (%s), want released", client, ended.End, ended.Cause)
		}
	}
	if code := r.interrupt(); code != 130 {
		t.Errorf("upall ended with code %d after an interrupt, want 130", code)
	}
}

// Redis answers LOADING while it loads its dump. The first client must get its
// value.
func TestE2ERedisLoads(t *testing.T) {
	t.Parallel()
	testenv.NeedProgram(t, "redis-server")
	testenv.NeedProgram(t, "redis-cli")
	keys := 1_000_000 // of 200 bytes each
	if testing.Short() {
		keys /= 10
	}
	users(t, func(t *testing.T, account testenv.User) {
		p := newProject(t, account, `
  redis:  {command: [sh, -c, "read -r gate < HERE/gate; exec redis-server --dir HERE --save '' --protected-mode no"], expose: ["6379"]}
  cli:    {command: [redis-cli, -h, redis, get, probe]}
  python: {command: [python3, HERE/get.py]}
`)
		p.write("get.py", `
import socket
with socket.create_connection(("redis", 6379)) as conn:
    conn.sendall(b"GET probe\r\n")
    print(conn.recv(100))
`)
		makeDump(t, p, keys)
		servesFirstClients(t, p, "redis", map[string]string{"cli": "first value", "python": "first value"})
	})
}

// makeDump leaves a dump.rdb in the project's folder, made by Redis itself.
func makeDump(t *testing.T, p *project, keys int) {
	t.Helper()
	socket := filepath.Join(p.folder, "socket")
	server := p.user.Command(t, "redis-server", "--port", "0", "--unixsocket", socket, "--dir", p.folder,
		"--save", "", "--rdbcompression", "no", "--enable-debug-command", "yes")
	if err := server.Start(); err != nil {
		t.Fatalf("start redis-server: %v", err)
	}
	testenv.Eventually(t, patience, func() error {
		_, err := os.Stat(socket)
		return err
	})
	for _, command := range [][]string{
		{"debug", "populate", fmt.Sprint(keys), "key", "200"},
		{"set", "probe", "first value"},
		{"save"},
	} {
		out, err := p.user.Command(t, "redis-cli", append([]string{"-s", socket}, command...)...).CombinedOutput()
		if err != nil || strings.TrimSpace(string(out)) != "OK" {
			t.Fatalf("redis-cli %v: %v: %s", command, err, out)
		}
	}
	if err := p.user.Command(t, "redis-cli", "-s", socket, "shutdown", "nosave").Run(); err != nil {
		t.Fatalf("shut redis-server down: %v", err)
	}
	if err := server.Wait(); err != nil {
		t.Fatalf("the end of redis-server: %v", err)
	}
}
