package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"upall/internal/event"
	"upall/internal/testenv"
)

// ask makes a request as any program might, and returns the status and the text.
func (s *served) ask(method, target, body string) (int, string) {
	s.t.Helper()
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", s.path)
		},
	}}
	request, err := http.NewRequestWithContext(s.t.Context(), method, "http://upall"+target, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	r, err := client.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return r.StatusCode, string(text)
}

// Each error is one line that names what is wrong.
func TestErrors(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for _, test := range []struct {
		method, target, body string
		status               int
		want                 string
	}{
		{"GET", "/v2/project", "", 404, "no such endpoint: /v2/project (this upall has /v1/project, events, logs, record, stats, services, actions and lease)"},
		{"DELETE", "/v1/project", "", 405, "DELETE /v1/project: the method is to be GET and PUT"},
		{"GET", "/v1/actions/stop", "", 405, "GET /v1/actions/stop: the method is to be POST"},
		{"GET", "/v1/project?verbose=1", "", 400, `unknown parameter "verbose"`},
		{"GET", "/v1/events?follow=yes", "", 400, "parameter follow: it is to be 0 or 1"},
		{"GET", "/v1/events?since=-1", "", 400, "parameter since: it is to be the number of an event"},
		{"GET", "/v1/events?types=log,,ready", "", 400, "parameter types: a type is empty"},
		{"GET", "/v1/events?life=x", "", 400, "parameter life: it is to be the life of a snapshot"},
		{"GET", "/v1/logs?tail=-5", "", 400, `parameter tail: it is to be a number of lines, or "all"`},
		{"GET", "/v1/logs?since=yesterday", "", 400, "parameter since: it is to be a time as 2006-01-02T15:04:05Z, or how long ago as 10m"},
		{"GET", "/v1/logs?service=nobody", "", 404, "no such service: nobody"},
		{"POST", "/v1/services/db", "", 405, "POST /v1/services/db: the method is to be GET"},
		{"GET", "/v1/services/nobody", "", 404, "no such service: nobody"},
		{"GET", "/v1/stats?interval_ms=99", "", 400, "parameter interval_ms: it is to be from 100 to 3600000"},
		{"GET", "/v1/stats?interval_ms=1s", "", 400, "parameter interval_ms: it is to be from 100 to 3600000"},
		{"POST", "/v1/actions/pause", "", 404, `unknown action "pause" (known: stop, start, restart, kill, end, replace)`},
		{"POST", "/v1/actions/stop", `{"service":["db"]}`, 400, `read the request: unknown field "service"`},
		{"POST", "/v1/actions/stop", `{"services":"db"}`, 400, "read the request: cannot unmarshal string into Go struct field actionBody.services of type []string"},
		{"POST", "/v1/actions/stop", `{} {}`, 400, "read the request: there is something after the JSON value"},
		{"POST", "/v1/actions/stop", `{"signal":"HUP"}`, 400, "signal: only kill sends one"},
		{"POST", "/v1/actions/stop", `{"timeout_seconds":-1}`, 400, "timeout_seconds: -1 is out of range"},
		{"POST", "/v1/actions/end", `{"services":["db"]}`, 400, "services: end is for the whole project; stop ends single services"},
		{"PUT", "/v1/project", "", 400, "the request has no body"},
		{"PUT", "/v1/project", "{}", 400, "plan: it is missing"},
		{"PUT", "/v1/project", `{"plan":{"Name":"x","Colour":"red"}}`, 400, `read the request: unknown field "Colour"`},
		{"POST", "/v1/lease", `{"now":true}`, 400, `read the request: unknown field "now"`},
	} {
		status, text := s.ask(test.method, test.target, test.body)
		var e struct {
			Error string `json:"error"`
		}
		if err := json.Unmarshal([]byte(text), &e); err != nil || status != test.status || e.Error != test.want {
			t.Errorf("%s %s %s:\ngot  %d %q, %v\nwant %d %q", test.method, test.target, test.body, status, e.Error, err, test.status, test.want)
		}
	}
	if len(s.project.specs)+len(s.project.actions) != 0 {
		t.Error("a request that is wrong has reached the project")
	}
}

func TestBodyIsBounded(t *testing.T) {
	t.Parallel()
	_, err := parseSpec(http.MaxBytesReader(nil, io.NopCloser(strings.NewReader(`{"project":"`+strings.Repeat("x", 100)+`"}`)), 50))
	if e, ok := errors.AsType[*Error](err); !ok || e.Status != http.StatusRequestEntityTooLarge || e.Message != "the request is larger than 50 bytes" {
		t.Errorf("got %v", err)
	}
}

// Another user is refused by the kernel's word, even where the socket could be
// opened; root is not.
func TestAnotherUser(t *testing.T) {
	testenv.NeedRoot(t)
	testenv.NeedProgram(t, "curl")
	folder, err := os.MkdirTemp("", "upall-control-") // those of testing.T are root's alone
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	s := serve(t)
	path := filepath.Join(folder, "open.sock")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, listener, s.project, os.Geteuid(), NewLog()) }()
	user := testenv.OrdinaryUser(t)
	for _, target := range []string{"/v1/project", "/v1/events", "/nothing"} {
		out, err := user.Command(t, "curl", "-s", "-w", "%{http_code}", "--unix-socket", path, "http://upall"+target).Output()
		want := fmt.Sprintf("{\"error\":\"the project belongs to the user with ID 0, and you are %d\"}\n403", user.UID)
		if err != nil || string(out) != want {
			t.Errorf("%s: %q, %v; want %q", target, out, err, want)
		}
	}
	if c, err := Dial(t.Context(), path); err != nil || c == nil {
		t.Errorf("root: %v", err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// Who may ask: root and the owner.
func TestPeerCheck(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		peer  peer
		owner int
		ok    bool
	}{
		{peer{uid: 1000}, 1000, true},
		{peer{uid: 0}, 1000, true},
		{peer{uid: 1001}, 1000, false},
		{peer{uid: 1000}, 0, false},
		{peer{err: io.EOF}, 0, false},
	} {
		if err := test.peer.check(test.owner); (err == nil) != test.ok {
			t.Errorf("%+v, the owner is %d: %v", test.peer, test.owner, err)
		}
	}
}

// A client that asks and never reads holds up neither the log nor the end.
func TestClientThatDoesNotRead(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for range 10 {
		conn, err := net.Dial("unix", s.path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		if _, err := io.WriteString(conn, "GET /v1/events?follow=1&logs=1 HTTP/1.1\r\nHost: upall\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if _, err := bufio.NewReaderSize(conn, 16).ReadString('\n'); err != nil {
			t.Fatal(err) // it is served
		}
	}
	begun := time.Now()
	for range 20_000 {
		s.log.Append(output(strings.Repeat("x", 100)))
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("20,000 events took %v", took)
	}
	got, _ := follow(t, s.dial(), FollowOptions{Types: []event.Type{event.StateChanged}})
	expect(t, got, "1 state_changed")
	begun = time.Now()
	s.end()
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("the end took %v", took)
	}
}

// What is under way when the server ends gets its answer.
func TestAnswersAtTheEnd(t *testing.T) {
	t.Parallel()
	s := serve(t)
	c := s.dial()
	l, err := c.Lease(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	answered := make(chan error, 1)
	go func() {
		_, err := c.Act(t.Context(), Action{Verb: Stop, Services: []string{"slow"}})
		answered <- err
	}()
	testenv.Eventually(t, 5*time.Second, func() error {
		s.project.mu.Lock()
		defer s.project.mu.Unlock()
		if len(s.project.actions) == 0 {
			return errors.New("nothing was asked yet")
		}
		return nil
	})
	s.end()
	if err := s.keeper.Close(); err != nil { // the socket ends with the project
		t.Error(err)
	}
	if err := <-answered; err == nil {
		t.Error("an action that was broken off is a success")
	}
	l.Release()
}
