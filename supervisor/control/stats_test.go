package control

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"testing"
	"time"
)

// samples are what the fake gives.
func samples(t *testing.T, f *fake, q StatsQuery, count int) (all []Stats) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := f.Stats(ctx, q, func(s Stats) error {
		if all = append(all, s); len(all) == count {
			cancel()
		}
		return nil
	})
	if err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	return all
}

var errEnough = errors.New("enough")

func TestStatsComeOver(t *testing.T) {
	t.Parallel()
	s := serve(t)
	var got []Stats
	err := s.dial().Stats(t.Context(), 250*time.Millisecond, func(sample Stats) error {
		if got = append(got, sample); len(got) == 2 {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		t.Errorf("stats: %v", err)
	}
	if want := samples(t, s.project, StatsQuery{Follow: true, Interval: 250 * time.Millisecond}, 2); !reflect.DeepEqual(want, got) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

// A supervisor's end in order is the end of the samples.
func TestStatsEnd(t *testing.T) {
	t.Parallel()
	s := serve(t)
	count := 0
	err := s.dial().Stats(t.Context(), time.Second, func(Stats) error {
		if count++; count == 2 {
			s.cancel()
		}
		return nil
	})
	if err != nil || count != 2 {
		t.Errorf("%d samples, %v", count, err)
	}
}

func TestStatsGoOnAfterACrash(t *testing.T) {
	t.Parallel()
	s := serve(t)
	var intervals []time.Duration
	err := s.dial().Stats(t.Context(), time.Second, func(sample Stats) error {
		switch intervals = append(intervals, sample.Interval); len(intervals) {
		case 2:
			s.crash()
			s.live(2)
		case 4:
			return errEnough
		}
		return nil
	})
	if want := []time.Duration{0, time.Second, 0, time.Second}; !errors.Is(err, errEnough) || !reflect.DeepEqual(want, intervals) {
		t.Errorf("intervals %v, %v; want %v", intervals, err, want)
	}
}

func TestServiceComesOver(t *testing.T) {
	t.Parallel()
	s := serve(t)
	got, err := s.dial().Service(t.Context(), "db")
	if err != nil {
		t.Fatal(err)
	}
	if want, _ := s.project.Service(t.Context(), "db"); !reflect.DeepEqual(want, got) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	_, err = s.dial().Service(t.Context(), "nobody")
	if e, ok := errors.AsType[*Error](err); !ok || e.Status != http.StatusNotFound || e.Message != "no such service: nobody" {
		t.Errorf("a service that there is not: %v", err)
	}
}
