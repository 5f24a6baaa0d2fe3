package profile

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// ownProfile is one that a user or an engine's configuration gives.
const ownProfile = `{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[]}`

func TestEngineDefault(t *testing.T) {
	get := must(t)
	file := filepath.Join(t.TempDir(), "with, comma.json")
	if err := os.WriteFile(file, []byte(ownProfile), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		options []string
		want    string // of the profile's JSON; "" for an error
	}{
		{[]string{"name=apparmor", "name=seccomp,profile=builtin"}, string(get(Builtin("1.45")).body)},
		{[]string{"name=seccomp,profile=default"}, string(get(Builtin("1.45")).body)},
		{[]string{"name=seccomp,profile=unconfined", "name=cgroupns"}, string(get(Unconfined()).body)},
		{[]string{"name=seccomp,profile=" + file}, ownProfile},
		{[]string{"name=seccomp,profile=" + file + ".none"}, ""},
		{[]string{"name=apparmor"}, ""},
	} {
		got, err := EngineDefault(tt.options, "1.45")
		if string(got.body) != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%q: %s, %v; want %s", tt.options, got.body, err, tt.want)
		}
	}
}

func TestChoose(t *testing.T) {
	get := must(t)
	builtin, unconfined, fallback := get(Builtin("1.46")), get(Unconfined()), Base{[]byte("the engine's")}
	for _, tt := range []struct {
		name       string
		options    []string
		privileged bool
		want       Base
	}{
		{"nothing", nil, false, fallback},
		{"other options", []string{"no-new-privileges:true", "label=seccomp=x"}, false, fallback},
		{"unconfined", []string{"seccomp=unconfined"}, false, unconfined},
		{"unconfined, old form", []string{"seccomp:unconfined"}, false, unconfined},
		{"built in", []string{"seccomp=builtin"}, false, builtin},
		{"own", []string{"seccomp=" + ownProfile}, false, Base{[]byte(ownProfile)}},
		{"the last one", []string{"seccomp=unconfined", "seccomp=" + ownProfile}, false, Base{[]byte(ownProfile)}},
		{"says nothing", []string{"seccomp={}"}, false, unconfined},
		{"privileged", nil, true, unconfined},
		{"privileged, own", []string{"seccomp=" + ownProfile}, true, Base{[]byte(ownProfile)}},
	} {
		if got, err := Choose(tt.options, tt.privileged, "1.46", fallback); err != nil || string(got.body) != string(tt.want.body) {
			t.Errorf("%s: %s, %v; want %s", tt.name, got.body, err, tt.want.body)
		}
	}
	if _, err := Choose(nil, true, "1.45", fallback); !errors.Is(err, ErrPrivileged) {
		t.Errorf("privileged, before engine 27: %v, want %v", err, ErrPrivileged)
	}
	if _, err := Choose([]string{"seccomp=missing.json"}, false, "1.46", fallback); err == nil {
		t.Error("took a path for a profile")
	}
}
