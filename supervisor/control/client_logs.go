package control

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// logAnswer is a line of the answer to /v1/logs.
type logAnswer struct {
	wireLine
	Error string `json:"error"`
}

// Logs gives the output of services, until there is no more, or yield returns an
// error, which it returns. Following, it goes on over a restart of the supervisor.
func (c *Client) Logs(ctx context.Context, q LogQuery, yield func(LogLine) error) error {
	var stop stopper
	yield = stopping(&stop, yield)
	given := map[string]time.Time{} // the newest of each instance
	attempt := func(ctx context.Context, _ time.Time, connected func()) error {
		before := maps.Clone(given)
		q := q
		for _, at := range before {
			if q.Tail = -1; q.Since.IsZero() || at.Before(q.Since) {
				q.Since = at
			}
		}
		r, err := c.open(ctx, http.MethodGet, "/logs", q.values(), nil)
		if err != nil {
			return err
		}
		defer func() { _ = r.Body.Close() }() // only read
		connected()
		return read(ctx, r.Body, func(line logAnswer) error {
			if line.Error != "" {
				return Errorf(http.StatusInternalServerError, "%s", line.Error)
			}
			if at, ok := before[line.Instance]; ok && !line.Time.After(at) {
				return nil
			}
			if q.Follow {
				given[line.Instance] = line.Time
			}
			return yield(line.line())
		})
	}
	if q.Follow {
		return stop.or(persist(ctx, attempt))
	}
	return stop.or(attempt(ctx, time.Time{}, func() {}))
}

func (q LogQuery) values() url.Values {
	v := url.Values{"service": q.Services}
	if q.Tail >= 0 {
		v.Set("tail", strconv.Itoa(q.Tail))
	}
	if !q.Since.IsZero() {
		v.Set("since", q.Since.Format(time.RFC3339Nano))
	}
	if q.Follow {
		v.Set("follow", "1")
	}
	return v
}
