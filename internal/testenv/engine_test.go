package testenv

import (
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// TestAskEngine asks what answers as an engine does, and what does not.
func TestAskEngine(t *testing.T) {
	for _, test := range []struct {
		name, answer string
		status       int
		want         Engine
		fails        string
	}{
		{"an engine", `{"Version":"26.1.5+dfsg1","ApiVersion":"1.45","Os":"linux"}`, http.StatusOK, Engine{Version: "26.1.5+dfsg1", API: "1.45"}, ""},
		{"an error", `{"message":"no"}`, http.StatusInternalServerError, Engine{}, "500"},
		{"no JSON", "<html>", http.StatusOK, Engine{}, "parse /version"},
	} {
		t.Run(test.name, func(t *testing.T) {
			host := "unix://" + serveVersion(t, test.status, test.answer)
			got, err := askEngine(t.Context(), host)
			if test.fails != "" {
				if err == nil || !strings.Contains(err.Error(), test.fails) {
					t.Errorf("error %v, want one with %q", err, test.fails)
				}
				return
			}
			test.want.Host = host
			if err != nil || got != test.want {
				t.Errorf("got %+v and error %v, want %+v", got, err, test.want)
			}
		})
	}
}

func TestAskEngineNowhere(t *testing.T) {
	for _, host := range []string{"unix://" + filepath.Join(t.TempDir(), "none"), "tcp://127.0.0.1:1"} {
		if got, err := askEngine(t.Context(), host); err == nil {
			t.Errorf("%s answered %+v", host, got)
		}
	}
}

// TestNeedEngines holds which engines are asked.
func TestNeedEngines(t *testing.T) {
	one := "unix://" + serveVersion(t, http.StatusOK, `{"Version":"1"}`)
	two := "unix://" + serveVersion(t, http.StatusOK, `{"Version":"2"}`)
	for _, test := range []struct{ all, host, want string }{
		{one + " " + two, one, "12"},
		{two, one, "2"},
		{"", one, "1"},
		{"", "", "skip: needs a Docker Engine: DOCKER_HOST is not set"},
		{one + " unix:///nowhere", one, "skip: needs a Docker Engine at unix:///nowhere"},
	} {
		t.Setenv(EnginesVariable, test.all)
		t.Setenv(HostVariable, test.host)
		t.Setenv(RequireVariable, "")
		var got strings.Builder
		ended := record(t, func(tb testing.TB) {
			for _, e := range NeedEngines(tb) {
				got.WriteString(e.Version)
			}
		})
		if !strings.HasPrefix(got.String()+ended, test.want) {
			t.Errorf("with %q and %q: engines %q, ended with %q, want %q", test.all, test.host, got.String(), ended, test.want)
		}
	}
}

// TestNeedImages asks for an image that is there, and where none is.
func TestNeedImages(t *testing.T) {
	t.Setenv(RequireVariable, "")
	there := Engine{Host: "unix://" + serve(t, "/images/upall-test/redis:1/json", http.StatusOK, "{}")}
	if got := record(t, func(tb testing.TB) { NeedImages(tb, there, "redis") }); got != "" {
		t.Errorf("an image that is there: ended with %q", got)
	}
	missing := Engine{Host: "unix://" + serve(t, "/images/upall-test/redis:1/json", http.StatusNotFound, "{}")}
	got := record(t, func(tb testing.TB) { NeedImages(tb, missing, "redis") })
	if !strings.HasPrefix(got, "skip: needs the image upall-test/redis:1 at unix://") || !strings.Contains(got, "hack/images unix://") {
		t.Errorf("an image that is missing: ended with %q", got)
	}
}

// serveVersion answers each request on a unix socket and returns its path.
func serveVersion(t *testing.T, status int, answer string) string {
	t.Helper()
	return serve(t, "/version", status, answer)
}

// serve answers requests for one path.
func serve(t *testing.T, want string, status int, answer string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "socket")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != want {
			t.Errorf("asked for %s", r.URL.Path)
		}
		w.WriteHeader(status)
		if _, err := w.Write([]byte(answer)); err != nil {
			t.Errorf("answer: %v", err)
		}
	})}
	ended := make(chan error, 1) // the one result of Serve
	go func() { ended <- server.Serve(listener) }()
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		<-ended
	})
	return path
}
