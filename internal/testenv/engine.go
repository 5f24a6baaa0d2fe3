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

// HostVariable names the environment variable that says where the engine for
// tests is, as for every Docker client.
const HostVariable = "DOCKER_HOST"

// engineLimit is how long an engine may take to tell its version.
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

// askEngine asks for the version, which engines of all ages tell alike.
func askEngine(ctx context.Context, host string) (engine Engine, err error) {
	path, isUnix := strings.CutPrefix(host, "unix://")
	if !isUnix {
		return Engine{}, fmt.Errorf("%s is no unix:// address", host)
	}
	ctx, cancel := context.WithTimeout(ctx, engineLimit)
	defer cancel()
	transport := &http.Transport{
		DisableKeepAlives: true, // nothing stays open behind the test
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		},
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://engine/version", nil)
	if err != nil {
		return Engine{}, fmt.Errorf("ask for the version: %w", err)
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return Engine{}, fmt.Errorf("ask for the version: %w", err)
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	if response.StatusCode != http.StatusOK {
		return Engine{}, fmt.Errorf("ask for the version: %s", response.Status)
	}
	var answer struct {
		Version string
		API     string `json:"ApiVersion"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return Engine{}, fmt.Errorf("parse the version: %w", err)
	}
	return Engine{Host: host, Version: answer.Version, API: answer.API}, nil
}
