package usage

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func files(t *testing.T, content map[string]string) string {
	t.Helper()
	folder := t.TempDir()
	for name, text := range content {
		path := filepath.Join(folder, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

func TestContainer(t *testing.T) {
	want := Use{CPU: 1500 * time.Millisecond, Memory: 70 << 10, PIDs: 4}
	for name, content := range map[string]map[string]string{
		"version 2": {
			"cgroup": "0::/docker/abc\n", "docker/abc/cpu.stat": "usage_usec 1500000\nuser_usec 7\n",
			"docker/abc/memory.current": "102400\n", "docker/abc/memory.stat": "anon 1\ninactive_file 30720\n", "docker/abc/pids.current": "4\n",
		},
		"version 1": {
			"cgroup":                           "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n2:pids:/docker/abc\n0::/\n",
			"cpuacct/docker/abc/cpuacct.usage": "1500000000\n", "memory/docker/abc/memory.usage_in_bytes": "102400\n",
			"memory/docker/abc/memory.stat": "inactive_file 1\ntotal_inactive_file 30720\n", "pids/docker/abc/pids.current": "4\n",
		},
	} {
		folder := files(t, content)
		if got, err := container(filepath.Join(folder, "cgroup"), folder); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, want)
		}
	}
	for _, group := range []string{"0::/\n", "0::/../x\n", "", "1:memory:/\n"} {
		folder := files(t, map[string]string{"cgroup": group})
		if _, err := container(filepath.Join(folder, "cgroup"), folder); !errors.Is(err, ErrNoGroup) {
			t.Errorf("%q: %v, want ErrNoGroup", group, err)
		}
	}
}

func TestParseStat(t *testing.T) {
	pid, p, err := parseStat([]byte("42 (a) b (c) S 7 42 42 0 -1 4194560 1 2 3 4 100 50 20 30 20 0 9 0 1 2 3"))
	if want := (process{parent: 7, threads: 9, cpu: 2 * time.Second}); err != nil || pid != 42 || p != want {
		t.Errorf("%d %+v, %v; want 42 %+v", pid, p, err, want)
	}
	for _, text := range []string{"", "42", "42 (a) S 7", "x (a) S 7 42 42 0 -1 4194560 1 2 3 4 100 50 20 30 20 0 9 0"} {
		if _, _, err := parseStat([]byte(text)); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
}

// This process stands for a program: what its parent has below it is its own.
func TestProgram(t *testing.T) {
	table, err := Processes()
	if err != nil {
		t.Fatal(err)
	}
	if u := table.Program(os.Getpid()); u.Memory == 0 || u.PIDs == 0 {
		t.Errorf("this process uses %+v", u)
	}
	if u := table.Program(1 << 30); u != (Use{}) {
		t.Errorf("a process that is none uses %+v", u)
	}
}
