package engine

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/container"

	"upall/compose"
)

func TestHealthcheckOf(t *testing.T) {
	const s = time.Second
	standard := func(h compose.Healthcheck) *compose.Healthcheck {
		h = h.WithDefaults()
		return &h
	}
	bash := []string{"/bin/bash", "-ec"}
	for _, test := range []struct {
		name  string
		test  []string
		shell []string
		times container.HealthConfig
		want  *compose.Healthcheck
	}{
		{"none", []string{"NONE"}, nil, container.HealthConfig{}, nil},
		{"times alone", nil, nil, container.HealthConfig{Interval: s}, nil},
		{"no command", []string{"CMD"}, nil, container.HealthConfig{}, nil},
		{"a word of another engine", []string{"MAYBE", "a"}, nil, container.HealthConfig{}, nil},
		{"a command", []string{"CMD", "a", "b"}, bash, container.HealthConfig{}, standard(compose.Healthcheck{Test: []string{"a", "b"}})},
		{"a shell", []string{"CMD-SHELL", "a b"}, nil, container.HealthConfig{}, standard(compose.Healthcheck{Shell: "a b"})},
		{"the image's shell", []string{"CMD-SHELL", "a b"}, bash, container.HealthConfig{}, standard(compose.Healthcheck{Test: []string{"/bin/bash", "-ec", "a b"}})},
		{"a shell with arguments", []string{"CMD-SHELL", "a", "b"}, bash, container.HealthConfig{}, standard(compose.Healthcheck{Test: []string{"/bin/bash", "-ec", "a", "b"}})},
		{
			"times",
			[]string{"CMD", "a"},
			nil,
			container.HealthConfig{Interval: s, Timeout: 2 * s, StartPeriod: 3 * s, StartInterval: 4 * s, Retries: 5},
			&compose.Healthcheck{Test: []string{"a"}, Interval: s, Timeout: 2 * s, StartPeriod: 3 * s, StartInterval: 4 * s, Retries: 5},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.times.Test = test.test
			got := healthcheckOf(&container.Config{Healthcheck: &test.times, Shell: test.shell})
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if got := healthcheckOf(&container.Config{}); got != nil {
		t.Errorf("a container without a healthcheck has %+v", got)
	}
}
