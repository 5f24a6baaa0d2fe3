package compose

import (
	"cmp"
	"slices"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
)

// What a healthcheck has where the file says nothing: Docker's own defaults.
const (
	defaultInterval      = 30 * time.Second
	defaultTimeout       = 30 * time.Second
	defaultStartInterval = 5 * time.Second
	defaultRetries       = 3
)

// minHealthTime is the shortest time but zero that an engine takes for a time of
// a healthcheck.
const minHealthTime = time.Millisecond

// The first words of a healthcheck's test.
const (
	testNone  = "NONE"
	testExec  = "CMD"
	testShell = "CMD-SHELL"
)

// WithDefaults returns the healthcheck with Docker's defaults in the place of
// zeros.
func (h Healthcheck) WithDefaults() Healthcheck {
	h.Interval = cmp.Or(h.Interval, defaultInterval)
	h.Timeout = cmp.Or(h.Timeout, defaultTimeout)
	h.StartInterval = cmp.Or(h.StartInterval, defaultStartInterval)
	h.Retries = cmp.Or(h.Retries, defaultRetries)
	return h
}

// ParseTest sets the command from a test as files and images have it: CMD and a
// program's arguments, or CMD-SHELL and what the shell takes after -c. shell is
// the shell with that -c. It reports whether there is a command.
func (h *Healthcheck) ParseTest(test, shell []string) bool {
	if len(test) < 2 {
		return false
	}
	args := test[1:]
	switch {
	case test[0] == testExec:
		h.Test = args
	case test[0] == testShell && len(args) == 1 && args[0] != "":
		h.Shell = args[0]
	case test[0] == testShell: // Docker hands all of it to the shell
		h.Test = slices.Concat(shell, args)
	default:
		return false
	}
	return true
}

// DefaultShell is what runs the Shell of a Healthcheck, unless the image has a
// shell of its own.
func DefaultShell() []string { return []string{"/bin/sh", "-c"} }

// healthcheck plans healthcheck. It is nil where the file gives no test, for
// then it is the image's own, if that has one; disabled says that the file wants
// none, not even that.
func healthcheck(config types.ServiceConfig) (check *Healthcheck, disabled bool, err error) {
	from := config.HealthCheck
	if from == nil {
		return nil, false, nil
	}
	if isDisabled(from) {
		return nil, true, nil
	}
	path := "services." + config.Name + ".healthcheck"
	h := Healthcheck{}
	for _, d := range []struct {
		key string
		in  *types.Duration
		out *time.Duration
	}{
		{"interval", from.Interval, &h.Interval},
		{"timeout", from.Timeout, &h.Timeout},
		{"start_period", from.StartPeriod, &h.StartPeriod},
		{"start_interval", from.StartInterval, &h.StartInterval},
	} {
		if *d.out, err = healthTime(path+"."+d.key, d.in); err != nil {
			return nil, false, err
		}
	}
	if from.Retries != nil {
		h.Retries = int(min(*from.Retries, 1<<31-1))
	}
	if len(from.Test) == 0 {
		return nil, false, nil
	}
	if !h.ParseTest(from.Test, DefaultShell()) {
		return nil, false, fieldErrorf(path+".test", "no command after %s", from.Test[0])
	}
	if len(h.Test) > 0 && h.Test[0] == "" {
		return nil, false, fieldErrorf(path+".test", "the name of the program is empty")
	}
	h = h.WithDefaults()
	return &h, false, nil
}

// healthTime reads a time of a healthcheck; 0 is as if it were not given.
func healthTime(path string, d *types.Duration) (time.Duration, error) {
	if d == nil {
		return 0, nil
	}
	value := time.Duration(*d)
	switch {
	case value < 0:
		return 0, fieldErrorf(path, "%s is negative", value)
	case value > 0 && value < minHealthTime:
		return 0, fieldErrorf(path, "%s is shorter than %s", value, minHealthTime)
	}
	return value, nil
}

func isDisabled(h *types.HealthCheckConfig) bool {
	return h.Disable || len(h.Test) > 0 && h.Test[0] == testNone
}
