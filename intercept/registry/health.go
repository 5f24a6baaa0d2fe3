package registry

import "time"

// HealthState is what the healthcheck of an instance has found in a run.
type HealthState int

// The states. An instance that was Healthy once in a run is taken for so until
// the run ends, as by Compose, which asks only before a start.
const (
	Unknown   HealthState = iota // it is asked, or asked anew
	Healthy                      // it has succeeded
	Unhealthy                    // it has failed as often as it may
)

func (r *Registry) noteHealth(now time.Time, in Health) {
	i := r.instances[in.Instance]
	if i == nil || i.phase != running || i.health == Healthy || i.health == in.State {
		return
	}
	i.health = in.State
	if in.State == Healthy {
		i.healthyAt = now
	}
	for _, h := range r.holdsAt(i) {
		r.recheck(now, h)
	}
	r.publishAll(i)
}

// forgetHealth begins a new run.
func (i *instance) forgetHealth() {
	i.health, i.healthyAt, i.excused = Unknown, time.Time{}, nil
}

// isOpenToAll tells whether the instance's health is in nobody's way.
func (i *instance) isOpenToAll() bool { return !i.HasHealth || i.health == Healthy }

// awaitsHealth tells whether the client's connects wait for the server's health.
// Its own it does not wait for: its healthcheck connects to it.
func (i *instance) awaitsHealth(server *instance) bool {
	if server == nil || server == i || server.isOpenToAll() || server.health == Unhealthy {
		return false
	}
	return server.excused[i.Name] == ""
}

// isRefused tells whether the client's connects to the server are refused because
// its healthcheck has given up.
func (i *instance) isRefused(server *instance) bool {
	if server == nil || server == i || server.isOpenToAll() || server.health != Unhealthy {
		return false
	}
	r, declared := i.requirement(server.Service, ServiceHealthy)
	return declared && r.Required
}

// mayBecomeHealthyFor tells whether the client has declared that it waits for the
// instance's health, which may still come.
func (i *instance) mayBecomeHealthyFor(client *instance) bool {
	_, declared := client.requirement(i.Service, ServiceHealthy)
	return declared && i.phase != exited && client.awaitsHealth(i)
}

func (i *instance) unhealthyCause() string { return i.Service + " is unhealthy" }

// reservation says why the client should not be let through to the server, but
// is, "" where it should.
func (i *instance) reservation(server *instance) string {
	switch {
	case server == i || server.isOpenToAll():
		return ""
	case server.health == Unhealthy:
		return server.unhealthyCause() + ", and it listens"
	}
	return server.excused[i.Name]
}

// warn tells of a connect that goes on in spite of a reservation.
func (r *Registry) warn(client, server *instance, cause string) {
	if cause != "" {
		r.emit(Warn{client.Name, server.Service, cause})
	}
}

// waitsForHealth tells whether the hold waits for nothing but health: it would
// end if the server were healthy.
func (h *hold) waitsForHealth() bool { return h.sick && !h.gated && h.target.serving }
