package control

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Stats calls handle with a sample at once and then with one each interval, of
// 100 ms at least, until the supervisor has ended in order (nil), the context is
// over, or handle returns an error, which it returns. It goes on over a restart of
// the supervisor, with a sample that has no rates.
func (c *Client) Stats(ctx context.Context, interval time.Duration, handle func(Stats) error) error {
	var stop stopper
	handle = stopping(&stop, handle)
	query := url.Values{"follow": {"1"}, "interval_ms": {strconv.FormatInt(interval.Milliseconds(), 10)}}
	return stop.or(persist(ctx, func(ctx context.Context, _ time.Time, connected func()) error {
		r, err := c.open(ctx, http.MethodGet, "/stats", query, nil)
		if err != nil {
			return err
		}
		defer func() { _ = r.Body.Close() }() // only read
		connected()
		return read(ctx, r.Body, handle)
	}))
}

// Service returns what the files say of a service. The error is an *Error with
// status 404 where the project has none of this name.
func (c *Client) Service(ctx context.Context, service string) (s ServiceInfo, err error) {
	err = c.call(ctx, http.MethodGet, "/services/"+service, nil, &s)
	return s, err
}
