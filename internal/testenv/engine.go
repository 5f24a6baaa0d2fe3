package testenv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

const (
	// HostVariable names the environment variable that says where the engine for
	// tests is, as for every Docker client.
	HostVariable = "DOCKER_HOST"
	// EnginesVariable names the one with all engines for tests, separated by
	// spaces, for tests that run on each of them.
	EnginesVariable = "UPALL_TEST_ENGINES"
)

// engineLimit is how long an engine may take to answer.
const engineLimit = 10 * time.Second

// Engine is a Docker Engine that answers.
type Engine struct {
	Host    string // for DOCKER_HOST
	Version string // of the engine, "26.1.5+dfsg1"
	API     string // its newest API version, "1.45"
}

// NeedEngine needs the Docker Engine that DOCKER_HOST names; hack/engine runs
// one and prints the variable.
func NeedEngine(t testing.TB) Engine {
	t.Helper()
	host := os.Getenv(HostVariable)
	Need(t, host != "", fmt.Sprintf("a Docker Engine: %s is not set (hack/engine up, export $(hack/engine env))", HostVariable))
	engine, err := askEngine(t.Context(), host)
	Need(t, err == nil, fmt.Sprintf("a Docker Engine at %s (%v)", host, err))
	return engine
}

// NeedEngines needs the Docker Engines that UPALL_TEST_ENGINES names, all of
// them, or without it the one that DOCKER_HOST names.
func NeedEngines(t testing.TB) []Engine {
	t.Helper()
	hosts := strings.Fields(os.Getenv(EnginesVariable))
	if len(hosts) == 0 {
		return []Engine{NeedEngine(t)}
	}
	var engines []Engine
	for _, host := range hosts {
		engine, err := askEngine(t.Context(), host)
		Need(t, err == nil, fmt.Sprintf("a Docker Engine at %s (%v)", host, err))
		engines = append(engines, engine)
	}
	return engines
}

// NeedImages needs images of hack/images, named as there ("redis").
func NeedImages(t testing.TB, e Engine, names ...string) {
	t.Helper()
	for _, name := range names {
		err := e.ask(t.Context(), "/images/upall-test/"+name+":1/json", &struct{}{})
		Need(t, err == nil, fmt.Sprintf("the image upall-test/%s:1 at %s (%v; hack/images %[2]s makes it)", name, e.Host, err))
	}
}

// askEngine asks for the version, which engines of all ages tell alike.
func askEngine(ctx context.Context, host string) (Engine, error) {
	engine := Engine{Host: host}
	var answer struct {
		Version string
		API     string `json:"ApiVersion"`
	}
	if err := engine.ask(ctx, "/version", &answer); err != nil {
		return Engine{}, err
	}
	engine.Version, engine.API = answer.Version, answer.API
	return engine, nil
}

// ask gets a path of the engine's API and parses the answer.
func (e Engine) ask(ctx context.Context, path string, answer any) (err error) {
	socket, isUnix := strings.CutPrefix(e.Host, "unix://")
	if !isUnix {
		return fmt.Errorf("%s is no unix:// address", e.Host)
	}
	ctx, cancel := context.WithTimeout(ctx, engineLimit)
	defer cancel()
	transport := &http.Transport{
		DisableKeepAlives: true, // nothing stays open behind the test
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://engine"+path, nil)
	if err != nil {
		return fmt.Errorf("ask for %s: %w", path, err)
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return fmt.Errorf("ask for %s: %w", path, err)
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("ask for %s: %s", path, response.Status)
	}
	if err := json.NewDecoder(response.Body).Decode(answer); err != nil {
		return fmt.Errorf("parse %s: %w", path, err)
	}
	return nil
}
