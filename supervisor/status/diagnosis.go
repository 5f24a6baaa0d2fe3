package status

import (
	"time"

	"upall/internal/event"
)

// maxDiagnoses bounds how many are kept: the newest.
const maxDiagnoses = 64

// Diagnosis is why connects of an instance do not go on, or did not the last time.
type Diagnosis struct {
	At       time.Time  `json:"at"`
	Service  string     `json:"service"` // the client's
	Instance string     `json:"instance"`
	Target   string     `json:"target"` // service
	Port     uint16     `json:"port"`
	Kind     event.Kind `json:"kind"`
	Cause    string     `json:"cause"`
	About    string     `json:"about,omitempty"` // the service that Cause is about
	Message  string     `json:"message"`         // a line that says it all
}

func (d *Diagnosis) isOf(instance, target string, port uint16) bool {
	return d.Instance == instance && d.Target == target && d.Port == port
}

// diagnose notes what an event says of why connects do not go on. The newest of an
// edge counts, but for localhost, which is about others of the client's connects.
func (t *Tracker) diagnose(e event.Event) {
	t.forget(func(d *Diagnosis) bool {
		return d.isOf(e.Instance, e.Target, e.Port) && (d.Kind == event.Localhost) == (e.Kind == event.Localhost)
	})
	t.diagnoses = append(t.diagnoses, Diagnosis{
		At: e.Time, Service: e.Service, Instance: e.Instance, Target: e.Target, Port: e.Port,
		Kind: e.Kind, Cause: e.Cause, About: e.About, Message: e.Message,
	})
	t.diagnoses = t.diagnoses[max(0, len(t.diagnoses)-maxDiagnoses):]
}

// cure forgets what an event has proved wrong: a connect went on, or the client
// begins anew.
func (t *Tracker) cure(e event.Event) {
	switch {
	case e.Type == event.StateChanged && e.State == event.Starting:
		t.forget(func(d *Diagnosis) bool { return d.Instance == e.Instance })
	case e.Type == event.Connected, e.Type == event.HoldEnded && e.End == event.Released:
		t.connected(e.Instance, e.Target, e.Port)
	}
}

func (t *Tracker) connected(instance, target string, port uint16) {
	t.forget(func(d *Diagnosis) bool { return d.isOf(instance, target, port) })
}

func (t *Tracker) forget(what func(*Diagnosis) bool) {
	if len(t.diagnoses) == 0 {
		return
	}
	// A new slice, for Views are handed out.
	var rest []Diagnosis
	for _, d := range t.diagnoses {
		if !what(&d) {
			rest = append(rest, d)
		}
	}
	t.diagnoses = rest
}

// explain has waits say the newest that is known of their cause.
func (t *Tracker) explain(instance string, waits []Wait) {
	for n := range waits {
		w := &waits[n]
		for _, d := range t.diagnoses {
			if d.isOf(instance, w.Target, w.Port) && d.Kind != event.Localhost {
				w.Cause = d.Cause
			}
		}
	}
}

// lastHealth is what the healthcheck of a service has printed when it failed last.
func (t *Tracker) lastHealth(service string) (output string) {
	for _, i := range t.instances {
		for _, p := range i.HealthLog {
			if i.Service == service && p.Code != 0 {
				output = p.Output
			}
		}
	}
	return output
}

// Detail is what there is to add to a diagnosis: what the healthcheck of the
// service has printed, which it is about.
func (t *Tracker) Detail(e event.Event) string {
	if e.Kind == event.IsUnhealthy || e.Kind == event.NotHealthy {
		return t.lastHealth(e.About)
	}
	return ""
}
