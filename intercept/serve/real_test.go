package serve

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"upall/internal/testenv"
)

// The tests of this file start real servers, wait for them as upall does and
// then run one client once: it must get service.

// ownAddr returns an address of the loopback network that no other test
// process uses, so that a server may have its well-known port.
func ownAddr(port uint16) netip.AddrPort {
	pid := os.Getpid()
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 91 + byte(pid>>16&31), byte(pid >> 8), byte(pid)}), port)
}

// server is a running server of a test.
type server struct {
	cmd *exec.Cmd
	log *bytes.Buffer // valid after stop
}

func start(t *testing.T, cmd *exec.Cmd) server {
	t.Helper()
	s := server{cmd: cmd, log: &bytes.Buffer{}}
	cmd.Stdout, cmd.Stderr = s.log, s.log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return s
}

// stop ends the server and returns what it wrote. Its exit status says no more
// than the signal.
func (s server) stop(sig syscall.Signal) string {
	_ = s.cmd.Process.Signal(sig)
	_ = s.cmd.Wait()
	return s.log.String()
}

// waitFor runs Wait and logs how long it took.
func waitFor(t *testing.T, program string, addr netip.AddrPort) {
	t.Helper()
	p, ok := For(program)
	if !ok {
		t.Fatalf("no probe for %s", program)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	begin := time.Now()
	if err := Wait(ctx, p, addr, Options{}); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s serves after %v", program, time.Since(begin).Round(time.Millisecond))
}

// run runs a client or a tool, which must succeed.
func run(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", filepath.Base(cmd.Path), err, out)
	}
	return string(out)
}

func TestPostgres(t *testing.T) {
	postgres := testenv.NeedProgram(t, "postgres")
	initdb, psql := testenv.NeedProgram(t, "initdb"), testenv.NeedProgram(t, "psql")
	user := testenv.OrdinaryUser(t) // postgres refuses to run as root
	for _, auth := range []string{"trust", "scram-sha-256"} {
		t.Run(auth, func(t *testing.T) {
			dir := user.TempDir(t)
			data := filepath.Join(dir, "data")
			password := filepath.Join(dir, "password")
			if err := os.WriteFile(password, []byte("secret\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			run(t, user.Command(t, initdb, "-D", data, "-U", "postgres", "-A", auth, "--pwfile", password, "-N"))
			early := 0
			for i := range 5 {
				// SIGQUIT leaves work for the recovery of the next start.
				sig := syscall.SIGINT
				if i == 3 {
					sig = syscall.SIGQUIT
				}
				server := user.Command(t, postgres, "-D", data, "-h", ownAddr(5432).Addr().String(), "-k", dir, "-c", "max_wal_size=4GB")
				early += onePostgres(t, server, sig, user.Command(t, psql, "-h", ownAddr(5432).Addr().String(),
					"-U", "postgres", "-XAt", "-c", "create table if not exists t(a int)", "-c", "insert into t select generate_series(1, 200000)"))
			}
			t.Logf("%d probes of 5 starts were turned away", early)
		})
	}
}

// onePostgres runs the server once with one client, and returns how many
// probes it turned away.
func onePostgres(t *testing.T, server *exec.Cmd, sig syscall.Signal, client *exec.Cmd) int {
	t.Helper()
	client.Env = append(client.Env, "PGPASSWORD=secret")
	s := start(t, server)
	waitFor(t, "postgres", ownAddr(5432))
	run(t, client)
	log := s.stop(sig)
	for _, noise := range []string{"could not", "unexpected EOF", "incomplete startup", "expected password"} {
		if strings.Contains(log, noise) {
			t.Errorf("the probe left %q in the log:\n%s", noise, log)
		}
	}
	return strings.Count(log, "the database system is starting up") + strings.Count(log, "the database system is not yet accepting connections")
}

func TestRedis(t *testing.T) {
	redis, cli := testenv.NeedProgram(t, "redis-server"), testenv.NeedProgram(t, "redis-cli")
	dir := t.TempDir()
	addr := ownAddr(6379)
	host := addr.Addr().String()
	launch := func() server {
		return start(t, exec.CommandContext(t.Context(), redis, "--bind", host, "--port", "6379", "--dir", dir,
			"--save", "", "--enable-debug-command", "yes", "--protected-mode", "no", "--dbfilename", "dump.rdb"))
	}
	ask := func(args ...string) string {
		return strings.TrimSpace(run(t, exec.CommandContext(t.Context(), cli, append([]string{"-h", host}, args...)...)))
	}
	s := launch()
	waitFor(t, "redis-server", addr)
	ask("debug", "populate", "600000", "key", "64")
	if got := ask("save"); got != "OK" {
		t.Fatalf("save: %s", got)
	}
	s.stop(syscall.SIGTERM)
	info, err := os.Stat(filepath.Join(dir, "dump.rdb"))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the data set has %d MB", info.Size()>>20)
	for range 3 {
		s := launch()
		waitFor(t, "redis-server", addr)
		if got := ask("dbsize"); !strings.Contains(got, "600000") {
			t.Errorf("dbsize: %q, want 600000", got)
		}
		s.stop(syscall.SIGTERM)
	}
}

// TestRedisLoading shows that the window in question exists: at the first
// answer after its listen(2), Redis is loading.
func TestRedisLoading(t *testing.T) {
	program, cli := testenv.NeedProgram(t, "redis-server"), testenv.NeedProgram(t, "redis-cli")
	dir, addr := t.TempDir(), ownAddr(6380)
	args := []string{"--bind", addr.Addr().String(), "--port", "6380", "--dir", dir, "--save", "", "--enable-debug-command", "yes"}
	s := start(t, exec.CommandContext(t.Context(), program, args...))
	waitFor(t, "redis-server", addr)
	for _, command := range []string{"debug populate 10000", "save"} {
		run(t, exec.CommandContext(t.Context(), cli, append([]string{"-h", addr.Addr().String(), "-p", "6380"}, strings.Fields(command)...)...))
	}
	s.stop(syscall.SIGTERM)

	// A pause at each key makes the load long enough to be met.
	s = start(t, exec.CommandContext(t.Context(), program, append(args, "--key-load-delay", "20", "--loading-process-events-interval-bytes", "1024")...))
	defer s.stop(syscall.SIGTERM)
	var first verdict
	testenv.Eventually(t, 10*time.Second, func() error {
		d := redis()
		judge := d.judge
		heard := false
		d.judge = func(reply []byte, ended bool) verdict {
			heard = heard || len(reply) > 0
			return judge(reply, ended)
		}
		v, err := d.once(t.Context(), addr, Options{Dial: dial})
		if err == nil && !heard {
			return fmt.Errorf("no answer yet")
		}
		first = v
		return err
	})
	if first != starting {
		t.Errorf("first answer judged %d, want starting", first)
	}
	waitFor(t, "redis-server", addr)
	if got := run(t, exec.CommandContext(t.Context(), cli, "-h", addr.Addr().String(), "-p", "6380", "dbsize")); !strings.Contains(got, "10000") {
		t.Errorf("dbsize after the load: %q", got)
	}
}

func TestMariaDB(t *testing.T) {
	mariadbd := testenv.NeedProgram(t, "mariadbd", "mysqld")
	install := testenv.NeedProgram(t, "mariadb-install-db", "mysql_install_db")
	client := testenv.NeedProgram(t, "mariadb", "mysql")
	user := testenv.OrdinaryUser(t)
	dir := user.TempDir(t)
	data := filepath.Join(dir, "data")
	run(t, user.Command(t, install, "--no-defaults", "--datadir="+data, "--auth-root-authentication-method=normal", "--skip-test-db"))
	addr := ownAddr(3306)
	for range 3 {
		s := start(t, user.Command(t, mariadbd, "--no-defaults", "--datadir="+data, "--socket="+filepath.Join(dir, "s"),
			"--bind-address="+addr.Addr().String(), "--port=3306", "--pid-file="+filepath.Join(dir, "pid")))
		waitFor(t, filepath.Base(mariadbd), addr)
		// To be told who may log in is service: root may from localhost only, and
		// whether our address has that name is a matter of the machine.
		out, err := user.Command(t, client, "--no-defaults", "--protocol=tcp", "-h", addr.Addr().String(), "-u", "root", "-e", "select 1").CombinedOutput()
		if err != nil && !strings.Contains(string(out), "is not allowed to connect") && !strings.Contains(string(out), "Access denied") {
			t.Errorf("client: %v: %s", err, out)
		}
		log := s.stop(syscall.SIGTERM)
		if n := strings.Count(log, "Aborted connection"); n > 1 {
			t.Errorf("%d probes in the log, want at most one:\n%s", n, log)
		}
	}
}
