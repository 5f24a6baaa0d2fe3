package control

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"
)

// FuzzQuery: whatever is asked is understood or refused as the client's mistake,
// and what a client makes of a LogQuery is that LogQuery.
func FuzzQuery(f *testing.F) {
	for _, s := range []string{
		"", "since=17&follow=1&types=ready,log&logs=1&life=3", "service=a&service=b&tail=10&since=2026-05-04T12:30:00Z",
		"tail=all&since=10m", "since=18446744073709551616", "tail=-1", "follow=2", "types=,", "a;b", "follow=1&interval_ms=250", "interval_ms=9223372036854775807", "since=9223372036854775807ns",
	} {
		f.Add(s)
	}
	now := time.Unix(1_000_000, 0).UTC()
	f.Fuzz(func(t *testing.T, text string) {
		values, err := url.ParseQuery(text)
		if err != nil {
			return
		}
		_, err = parseEventQuery(values)
		checkRefusal(t, err)
		_, err = parseStatsQuery(values)
		checkRefusal(t, err)
		q, err := parseLogQuery(values, now)
		checkRefusal(t, err)
		if err != nil || q.Since.Year() < 0 || q.Since.Year() > 9999 {
			return
		}
		again, err := parseLogQuery(q.values(), now)
		if err != nil || !again.Since.Equal(q.Since) {
			t.Fatalf("%+v became %+v, %v", q, again, err)
		}
		again.Since = q.Since
		if !reflect.DeepEqual(q, again) {
			t.Fatalf("%+v became %+v", q, again)
		}
	})
}

// FuzzBody does the same for the bodies of requests.
func FuzzBody(f *testing.F) {
	for _, s := range []string{"", "{}", `{"services":["a"],"timeout_seconds":3}`, `{"plan":{"Name":"x"},"intercept":true}`, "[", "null", `{"timeout_seconds":1e9}`} {
		f.Add("stop", s)
	}
	f.Fuzz(func(t *testing.T, verb, text string) {
		_, err := parseAction(verb, strings.NewReader(text))
		checkRefusal(t, err)
		spec, err := parseSpec(strings.NewReader(text))
		checkRefusal(t, err)
		if err == nil && spec.Plan == nil {
			t.Fatal("a Spec without a plan")
		}
	})
}

func checkRefusal(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Status < http.StatusBadRequest || e.Status >= http.StatusInternalServerError || errors.Is(err, io.EOF) {
		t.Fatalf("not the client's mistake: %v", err)
	}
}
