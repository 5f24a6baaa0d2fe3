package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// parseMoment reads a moment as `docker logs --since` does: how long ago, a time,
// or seconds since 1970. "" is none. A time without a zone is of this host's.
func parseMoment(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil {
		return now.Add(-ago), nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02T15:04", "2006-01-02"} {
		if at, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return at, nil
		}
	}
	whole, part, _ := strings.Cut(text, ".")
	seconds, err := strconv.ParseInt(whole, 10, 64)
	nanos, partErr := strconv.ParseInt((part + "000000000")[:9], 10, 64)
	if err != nil || partErr != nil {
		return time.Time{}, usageError{fmt.Errorf("%q is no moment: write a time as 2006-01-02T15:04:05Z, or how long ago as 10m", text)}
	}
	return time.Unix(seconds, nanos), nil
}
