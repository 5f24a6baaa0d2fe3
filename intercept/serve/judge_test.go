package serve

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"
)

// pgError builds an ErrorResponse.
func pgError(fields string) []byte {
	b := append([]byte{'E', 0, 0, 0, 0}, fields...)
	binary.BigEndian.PutUint32(b[1:], uint32(len(b)-1))
	return b
}

func TestJudge(t *testing.T) {
	const startingUp = "SFATAL\x00VFATAL\x00C57P03\x00Mthe database system is starting up\x00\x00"
	busy := pgError(startingUp)
	tests := []struct {
		name  string
		judge func([]byte, bool) verdict
		reply string
		ended bool
		want  verdict
	}{
		{"postgres nothing yet", judgePostgres, "", false, undecided},
		{"postgres closed", judgePostgres, "", true, silent},
		{"postgres starting", judgePostgres, string(busy), false, starting},
		{"postgres starting, code is there", judgePostgres, string(busy[:26]), false, starting},
		{"postgres half an error", judgePostgres, string(busy[:16]), false, undecided},
		{"postgres half an error, closed", judgePostgres, string(busy[:16]), true, serving},
		{"postgres no such role", judgePostgres, string(pgError("SFATAL\x00C28000\x00Mno\x00\x00")), false, serving},
		{"postgres code in a message only", judgePostgres, string(pgError("SFATAL\x00M57P03\x00\x00")), false, serving},
		{"postgres trust", judgePostgres, "R\x00\x00\x00\x08\x00\x00\x00\x00", false, serving},
		{"postgres half of trust", judgePostgres, "R\x00\x00", false, undecided},
		{"postgres error of a wrong length", judgePostgres, "E\x00\x00\x00\x00", false, serving},
		{"postgres not the protocol", judgePostgres, "HTTP/1.1 400", false, serving},
		{"redis pong", judgeRedis, "+PONG\r\n", false, serving},
		{"redis loading", judgeRedis, "-LOADING Redis is loading", false, starting},
		{"redis first byte", judgeRedis, "-", false, undecided},
		{"redis wants a password", judgeRedis, "-NOAUTH Authentication required.", false, serving},
		{"redis closed", judgeRedis, "", true, silent},
		{"redis closed after a byte", judgeRedis, "-", true, serving},
		{"mysql greeting", judgeMySQL, "\x5b\x00\x00\x00\x0a5.5.5-10.11", false, serving},
		{"mysql header only", judgeMySQL, "\x5b\x00\x00\x00", false, undecided},
		{"mysql closed", judgeMySQL, "", true, starting},
		{"mysql shutting down", judgeMySQL, "\x10\x00\x00\x00\xff\x1d\x04Server shutdown", false, starting},
		{"mysql host not allowed", judgeMySQL, "\x10\x00\x00\x00\xff\x6a\x04Host", false, serving},
		{"mysql half an error, closed", judgeMySQL, "\x10\x00\x00\x00\xff", true, starting},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.judge([]byte(tt.reply), tt.ended); got != tt.want {
				t.Errorf("judge(%q, ended=%t) = %d, want %d", tt.reply, tt.ended, got, tt.want)
			}
		})
	}
}

// FuzzJudge holds each judge to its promises: it decides when the reply has
// ended, and no later byte changes a decision.
func FuzzJudge(f *testing.F) {
	f.Add([]byte("-LOADING x"), 3)
	f.Add(pgError("C57P03\x00\x00"), 7)
	f.Add([]byte("\x10\x00\x00\x00\xff\x1d\x04"), 5)
	f.Add([]byte("R\x00\x00\x00\x08\x00\x00\x00\x00"), 4)
	f.Fuzz(func(t *testing.T, reply []byte, cut int) {
		cut = min(max(cut, 0), len(reply))
		for _, p := range []Probe{postgres(), redis(), mysql()} {
			if p.judge(reply, true) == undecided {
				t.Errorf("%s: undecided at the end of %q", p, reply)
			}
			early := p.judge(reply[:cut], false)
			if late := p.judge(reply, false); early != undecided && early != late {
				t.Errorf("%s: %d after %q, %d after %q", p, early, reply[:cut], late, reply)
			}
			if p.bye != nil {
				p.bye(reply)
			}
		}
	})
}

func TestByePostgres(t *testing.T) {
	if got := byePostgres([]byte("R\x00\x00\x00\x08\x00\x00\x00\x00")); string(got) != "X\x00\x00\x00\x04" {
		t.Errorf("after trust: %q", got)
	}
	if got := byePostgres([]byte("R\x00\x00\x00\x17\x00\x00\x00\x0aSCRAM")); got != nil {
		t.Errorf("after a question for a password: %q, want silence", got)
	}
}

func TestFor(t *testing.T) {
	tests := []struct {
		names []string
		want  string
	}{
		{[]string{"postgres"}, "postgres"},
		{[]string{"redis-check-rdb", "redis-server"}, "redis"},
		{[]string{"valkey-server", ""}, "redis"},
		{[]string{"/usr/sbin/mariadbd (deleted)"}, "mysql"},
		{[]string{"mysqld"}, "mysql"},
		{[]string{"psql", "nginx", ""}, ""},
		{nil, ""},
	}
	for _, tt := range tests {
		p, ok := For(tt.names...)
		if ok != (tt.want != "") || p.String() != tt.want {
			t.Errorf("For(%q) = %q, %t, want %q", tt.names, p, ok, tt.want)
		}
	}
}

func TestMayListenEarly(t *testing.T) {
	tests := []struct {
		command []string
		port    uint16
		want    bool
	}{
		{[]string{"postgres", "-D", "/data"}, 15432, true},
		{[]string{"docker-entrypoint.sh", "postgres"}, 15432, true},
		{[]string{"sh", "-c", "cd /data;exec /usr/lib/postgresql/15/bin/postgres -D ."}, 1, true},
		{[]string{"pg_ctlcluster", "15", "main", "start"}, 1, true},
		{[]string{"mysqld_safe"}, 1, true},
		{[]string{"/usr/bin/redis-server", "--port", "7000"}, 7000, true},
		{[]string{"./db"}, 5432, true},
		{[]string{"./cache"}, 6379, true},
		{[]string{"./web", "--db=mysql"}, 8080, false},
		{[]string{"node", "server.js"}, 8080, false},
		{nil, 0, false},
	}
	for _, tt := range tests {
		if got := MayListenEarly(tt.command, tt.port); got != tt.want {
			t.Errorf("MayListenEarly(%q, %d) = %t", tt.command, tt.port, got)
		}
	}
}

func TestPause(t *testing.T) {
	got := []time.Duration{}
	for _, waited := range []time.Duration{0, 100 * time.Millisecond, time.Second, time.Hour} {
		got = append(got, pause(5*time.Millisecond, waited))
	}
	want := []time.Duration{5 * time.Millisecond, 5 * time.Millisecond, 50 * time.Millisecond, 250 * time.Millisecond}
	if !slices.Equal(got, want) {
		t.Errorf("pauses %v, want %v", got, want)
	}
}
