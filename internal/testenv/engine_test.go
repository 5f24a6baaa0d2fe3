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
		{"no JSON", "<html>", http.StatusOK, Engine{}, "parse the version"},
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

// serveVersion answers each request on a unix socket and returns its path.
func serveVersion(t *testing.T, status int, answer string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "socket")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/version" {
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
