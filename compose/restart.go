package compose

import (
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// restart reads restart and deploy.restart_policy. The latter wins, and its
// delay and window are not used: both as in Docker Compose.
func restart(config types.ServiceConfig) (Restart, error) {
	if config.Deploy != nil && config.Deploy.RestartPolicy != nil {
		policy := config.Deploy.RestartPolicy
		attempts := 0
		if policy.MaxAttempts != nil {
			attempts = int(min(*policy.MaxAttempts, 1<<31-1))
		}
		return newRestart("services."+config.Name+".deploy.restart_policy.condition", policy.Condition, attempts)
	}
	path := "services." + config.Name + ".restart"
	name, count, hasCount := strings.Cut(config.Restart, ":")
	attempts := 0
	if hasCount {
		n, err := strconv.ParseUint(count, 10, 31)
		if err != nil || name != types.RestartPolicyOnFailure {
			return Restart{}, fieldErrorf(path, "%q is not allowed (a number may follow on-failure only, as on-failure:3)", config.Restart)
		}
		attempts = int(n)
	}
	return newRestart(path, name, attempts)
}

// newRestart maps a condition's word as Docker Compose does.
func newRestart(path, condition string, attempts int) (Restart, error) {
	switch condition {
	case "", "none", types.RestartPolicyNo:
		return Restart{Policy: types.RestartPolicyNo}, nil
	case "any", types.RestartPolicyAlways:
		return Restart{Policy: types.RestartPolicyAlways}, nil
	case types.RestartPolicyUnlessStopped:
		return Restart{Policy: condition}, nil
	case types.RestartPolicyOnFailure:
		return Restart{Policy: condition, Max: attempts}, nil
	}
	return Restart{}, fieldErrorf(path, "%q is not allowed (allowed: no, always, on-failure[:max-retries], unless-stopped)", condition)
}
