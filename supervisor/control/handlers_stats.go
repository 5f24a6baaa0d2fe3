package control

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

const (
	// defaultInterval is between samples where none is asked for.
	defaultInterval = time.Second
	minInterval     = 100 * time.Millisecond
	maxInterval     = time.Hour
)

func parseStatsQuery(values url.Values) (q StatsQuery, err error) {
	q.Interval = defaultInterval
	err = parse(values, map[string]func(string) error{
		"follow": boolean(&q.Follow),
		"interval_ms": func(s string) error {
			n, err := strconv.ParseInt(s, 10, 64)
			if err != nil || n < minInterval.Milliseconds() || n > maxInterval.Milliseconds() {
				return errors.New("it is to be from 100 to 3600000")
			}
			q.Interval = time.Duration(n) * time.Millisecond
			return nil
		},
	})
	return q, err
}

func (s *server) getStats(w http.ResponseWriter, r *http.Request) error {
	q, err := parseStatsQuery(r.URL.Query())
	if err != nil {
		return err
	}
	ctx, cancel := s.untilOver(r.Context())
	defer cancel()
	out := newStream(w)
	err = s.project.Stats(ctx, q, func(sample Stats) error {
		_ = out.write(sample) // an error stays, and flush returns it
		return out.flush()
	})
	if err == nil || ctx.Err() != nil || out.begun { // or the client is gone
		return nil
	}
	return err
}

func (s *server) getService(w http.ResponseWriter, r *http.Request) error {
	if err := parse(r.URL.Query(), nil); err != nil {
		return err
	}
	info, err := s.project.Service(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, info)
	return nil
}
