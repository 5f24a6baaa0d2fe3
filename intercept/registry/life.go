package registry

import (
	"maps"
	"net/netip"
	"slices"
	"time"
)

// Life is what a Registry knows of an instance beside its description and its
// holds: what another Registry, of another process, needs to go on.
type Life struct {
	Phase       int               `json:"phase"`
	Code        int               `json:"code,omitempty"`
	Started     time.Time         `json:"started,omitzero"`
	Newest      time.Time         `json:"newest,omitzero"`
	Reopened    time.Time         `json:"reopened,omitzero"`
	HeldUntil   time.Time         `json:"held_until,omitzero"`
	Ready       bool              `json:"ready,omitempty"`
	Settled     bool              `json:"settled,omitempty"`
	SettledTold bool              `json:"settled_told,omitempty"`
	Capped      bool              `json:"capped,omitempty"`
	GateOpen    bool              `json:"gate_open,omitempty"`
	GateOpened  time.Time         `json:"gate_opened,omitzero"`
	Health      HealthState       `json:"health,omitempty"`
	HealthyAt   time.Time         `json:"healthy_at,omitzero"`
	Excused     map[string]string `json:"excused,omitempty"`
	Listeners   []Listener        `json:"listeners,omitempty"`
	Endpoints   []Endpoint        `json:"endpoints,omitempty"`
}

// Listener is what an instance has told that it listens on.
type Listener struct {
	At     netip.AddrPort `json:"at"`
	V6Only bool           `json:"v6only,omitempty"`
}

// Endpoint is where connects reach the instance.
type Endpoint struct {
	At      netip.AddrPort `json:"at"`
	Serving bool           `json:"serving,omitempty"`
	Served  time.Time      `json:"served,omitzero"`
}

// Life returns the life of an instance so far, of an unknown one the life of one
// that has not started.
func (r *Registry) Life(name string) Life {
	i := r.instances[name]
	if i == nil {
		return Life{}
	}
	l := Life{
		Phase: int(i.phase), Code: i.code, Started: i.started, Newest: i.newest, Reopened: i.reopened,
		HeldUntil: i.heldUntil, Ready: i.ready, Settled: i.settled, SettledTold: i.settledTold,
		Capped: i.capped, GateOpen: i.gate.open, GateOpened: i.gate.opened, Health: i.health, HealthyAt: i.healthyAt, Excused: maps.Clone(i.excused),
	}
	for at := range i.listeners {
		l.Listeners = append(l.Listeners, Listener{at.at, at.v6Only})
	}
	for _, e := range r.endpointsOf(i) {
		l.Endpoints = append(l.Endpoints, Endpoint{e.at, e.serving, e.served})
	}
	slices.SortFunc(l.Listeners, func(a, b Listener) int { return a.At.Compare(b.At) })
	return l
}

// Restore goes on with the lives of instances of an earlier Registry. It comes
// after their Add and before any Step; now is when. What is to be done is as Step returns it:
// what is open, what is to be probed, whose gates are how.
func (r *Registry) Restore(now time.Time, lives map[string]Life) []Output {
	clear(r.out)
	r.out, r.stepped = r.out[:0], now
	for _, i := range r.order {
		if l, known := lives[i.Name]; known {
			i.restore(l)
		}
	}
	for _, i := range r.order {
		r.restoreEndpoints(now, i, lives[i.Name].Endpoints)
	}
	for _, i := range r.order { // what is known of all may open a gate
		r.restoreGate(now, i, lives[i.Name])
	}
	return r.out
}

func (i *instance) restore(l Life) {
	i.phase, i.code, i.started, i.newest, i.reopened = phase(l.Phase), l.Code, l.Started, l.Newest, l.Reopened
	i.heldUntil, i.ready, i.settled, i.settledTold = l.HeldUntil, l.Ready, l.Settled, l.SettledTold
	i.capped, i.health, i.healthyAt, i.excused = l.Capped, l.Health, l.HealthyAt, maps.Clone(l.Excused)
	for _, at := range l.Listeners {
		i.listeners[listener{at.At, at.V6Only}] = struct{}{}
	}
}

func (r *Registry) restoreEndpoints(now time.Time, i *instance, endpoints []Endpoint) {
	for _, at := range endpoints {
		if !slices.Contains(i.Addrs, at.At.Addr()) {
			continue // the instance is described otherwise now
		}
		e := r.endpoint(at.At)
		r.setListener(now, e, i)
		if e.serving, e.served = at.Serving, at.Served; e.serving {
			r.publish(e)
		} else {
			r.emit(Probe{e.at, i.Name})
		}
	}
}

// restoreGate: an open gate stays open.
func (r *Registry) restoreGate(now time.Time, i *instance, l Life) {
	if len(i.Jobs()) == 0 || i.phase != running {
		return
	}
	if i.gate = r.gateOf(now, i); l.GateOpen {
		i.gate = gate{open: true, opened: l.GateOpened}
	}
	r.emit(Gate{i.Name, i.gate.open})
}

// Listener returns the instance that is known to listen at the endpoint, "" for
// none.
func (r *Registry) Listener(at netip.AddrPort) (name string) {
	if e := r.endpoints[at]; e != nil && e.isListening() {
		return e.listener.Name
	}
	return ""
}
