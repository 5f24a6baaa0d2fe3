package control

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"upall/internal/event"
)

// eventQuery is what /v1/events is asked for.
type eventQuery struct {
	since  uint64
	life   string // since counts in this life of the supervisor alone; "" in any
	follow bool
	logs   bool
	types  []event.Type // none = all
}

// parse takes the values of a query one by one. A name that no set has is an
// error, for it is most likely a mistake.
func parse(values url.Values, set map[string]func(string) error) error {
	for name, all := range values {
		take, ok := set[name]
		if !ok {
			return Errorf(http.StatusBadRequest, "unknown parameter %q", name)
		}
		for _, value := range all {
			if err := take(value); err != nil {
				return Errorf(http.StatusBadRequest, "parameter %s: %v", name, err)
			}
		}
	}
	return nil
}

func parseEventQuery(values url.Values) (q eventQuery, err error) {
	err = parse(values, map[string]func(string) error{
		"since": func(s string) (err error) {
			if q.since, err = strconv.ParseUint(s, 10, 64); err != nil {
				return errors.New("it is to be the number of an event")
			}
			return nil
		},
		"life": func(s string) error {
			if n, err := strconv.Atoi(s); err != nil || n < 1 {
				return errors.New("it is to be the life of a snapshot")
			}
			q.life = s
			return nil
		},
		"follow": boolean(&q.follow),
		"logs":   boolean(&q.logs),
		"types": func(s string) error {
			for name := range strings.SplitSeq(s, ",") {
				if name == "" {
					return errors.New("a type is empty")
				}
				q.types = append(q.types, event.Type(name))
			}
			return nil
		},
	})
	if slices.Contains(q.types, event.Log) {
		q.logs = true
	}
	return q, err
}

// wants tells whether the reader has asked for the record. That it has missed
// some it is always told.
func (q eventQuery) wants(r Record) bool {
	return len(q.types) == 0 || slices.Contains(q.types, r.Type) || r.Type == event.Dropped
}

func parseLogQuery(values url.Values, now time.Time) (LogQuery, error) {
	q := LogQuery{Tail: -1}
	err := parse(values, map[string]func(string) error{
		"service": func(s string) error {
			if s == "" {
				return errors.New("it is empty")
			}
			q.Services = append(q.Services, s)
			return nil
		},
		"tail": func(s string) (err error) {
			if s == "all" {
				q.Tail = -1
				return nil
			}
			if q.Tail, err = strconv.Atoi(s); err != nil || q.Tail < 0 {
				return errors.New(`it is to be a number of lines, or "all"`)
			}
			return nil
		},
		"since": func(s string) (err error) {
			q.Since, err = parseTime(s, now)
			return err
		},
		"follow": boolean(&q.Follow),
	})
	return q, err
}

// parseTime reads a time, or how long ago it was.
func parseTime(s string, now time.Time) (time.Time, error) {
	if ago, err := time.ParseDuration(s); err == nil {
		return now.Add(-ago), nil
	}
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return at, errors.New("it is to be a time as 2006-01-02T15:04:05Z, or how long ago as 10m")
	}
	return at, nil
}

func boolean(to *bool) func(string) error {
	return func(s string) (err error) {
		if *to, err = strconv.ParseBool(s); err != nil {
			return errors.New("it is to be 0 or 1")
		}
		return nil
	}
}

// actionBody is the body of /v1/actions.
type actionBody struct {
	Services []string `json:"services,omitempty"`
	Timeout  *int     `json:"timeout_seconds,omitempty"`
	NoDeps   bool     `json:"no_deps,omitempty"`
	Signal   string   `json:"signal,omitempty"`
	Forget   bool     `json:"forget,omitempty"`
}

// maxTimeout keeps a timeout in seconds representable.
const maxTimeout = 1 << 30

func parseAction(verb string, body io.Reader) (Action, error) {
	a := Action{Verb: Verb(verb)}
	if verbs := []Verb{Stop, Start, Restart, Kill, End, Replace}; !slices.Contains(verbs, a.Verb) {
		return a, Errorf(http.StatusNotFound, "unknown action %q (known: stop, start, restart, kill, end, replace)", verb)
	}
	var b actionBody
	if err := decode(body, &b); err != nil && !errors.Is(err, io.EOF) { // nothing is said: the defaults
		return a, err
	}
	a.Services, a.NoDeps, a.Signal, a.Forget = b.Services, b.NoDeps, b.Signal, b.Forget
	if b.Timeout != nil {
		if *b.Timeout < 0 || *b.Timeout > maxTimeout {
			return a, Errorf(http.StatusBadRequest, "timeout_seconds: %d is out of range", *b.Timeout)
		}
		timeout := time.Duration(*b.Timeout) * time.Second
		a.Timeout = &timeout
	}
	if a.Signal != "" && a.Verb != Kill {
		return a, Errorf(http.StatusBadRequest, "signal: only kill sends one")
	}
	if a.Forget && a.Verb != End {
		return a, Errorf(http.StatusBadRequest, "forget: only the end of the project does")
	}
	if (a.Verb == End || a.Verb == Replace) && len(a.Services) > 0 {
		return a, Errorf(http.StatusBadRequest, "services: %s is for the whole project; stop ends single services", a.Verb)
	}
	return a, nil
}

func parseSpec(body io.Reader) (*Spec, error) {
	var s Spec
	err := decode(body, &s)
	switch {
	case errors.Is(err, io.EOF):
		return nil, Errorf(http.StatusBadRequest, "the request has no body")
	case err != nil:
		return nil, err
	case s.Plan == nil:
		return nil, Errorf(http.StatusBadRequest, "plan: it is missing")
	}
	return &s, nil
}

// decode reads one JSON value. io.EOF says that there is none.
func decode(body io.Reader, to any) error {
	d := json.NewDecoder(body)
	d.DisallowUnknownFields()
	err := d.Decode(to)
	if err == nil {
		if _, more := d.Token(); more == nil || !errors.Is(more, io.EOF) {
			err = errors.New("there is something after the JSON value")
		}
	}
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return Errorf(http.StatusRequestEntityTooLarge, "the request is larger than %d bytes", tooLarge.Limit)
	}
	message := strings.TrimPrefix(err.Error(), "json: ") // unknown field "x"; cannot unmarshal string into Go struct field ...
	return Errorf(http.StatusBadRequest, "read the request: %s", message)
}
