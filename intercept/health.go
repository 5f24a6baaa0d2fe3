package intercept

import (
	"upall/intercept/registry"
)

// Health tells what the healthcheck of an instance has found in its present run.
// It counts where the instance HasHealth.
func (i *Interceptor) Health(instance string, state registry.HealthState) {
	i.do(func() {
		i.step(registry.Health{Instance: instance, State: state})
		i.changed(i.instances[instance])
	})
}

// SetHasHealth says whether an instance has a healthcheck, where that is learned
// after Add.
func (i *Interceptor) SetHasHealth(instance string, has bool) {
	i.do(func() {
		if n := i.instances[instance]; n != nil {
			if n.HasHealth = has; has {
				i.closeEarly(n)
			}
			i.registry.SetHasHealth(instance, has)
			i.step(registry.Tick{})
			i.changed(n)
		}
	})
}

// warnOf tells of connects that go on although something is not as it should be,
// once for each client and cause.
func (i *Interceptor) warnOf(o registry.Warn) {
	n := i.instances[o.Client]
	switch {
	case o.Client == hostName:
		i.warnOnce(hostName, "connects to "+o.Server+" go on: "+o.Cause)
	case n == nil:
	case o.Server == "":
		i.warnOnce(n.Service, "its connects go on: "+o.Cause)
	default:
		i.warnOnce(n.Service, "its connects to "+o.Server+" go on: "+o.Cause)
	}
}

func cycleMessage(o registry.Cycle) string {
	if o.Ended {
		return "one waits for another to be healthy, which waits for it; it is let through"
	}
	return "each connects before it listens; the hold timeout ends it"
}
