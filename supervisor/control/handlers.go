package control

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"
)

// accepted answers a change: events after seq tell how it goes.
type accepted struct {
	Seq uint64 `json:"seq"`
}

func (s *server) getProject(w http.ResponseWriter, r *http.Request) error {
	if err := parse(r.URL.Query(), nil); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	e := newEncoder(w)
	e.SetIndent("", "  ") // people look at it, too
	_ = e.Encode(s.project.Snapshot())
	return nil
}

func (s *server) putProject(w http.ResponseWriter, r *http.Request) error {
	spec, err := parseSpec(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return err
	}
	seq := s.log.Seq()
	if err := s.project.Apply(r.Context(), spec); err != nil {
		return err
	}
	writeJSON(w, http.StatusAccepted, accepted{seq})
	return nil
}

func (s *server) postAction(w http.ResponseWriter, r *http.Request) error {
	action, err := parseAction(r.PathValue("verb"), http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return err
	}
	seq := s.log.Seq()
	if err := s.project.Act(r.Context(), action); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, accepted{seq})
	return nil
}

func (s *server) getEvents(w http.ResponseWriter, r *http.Request) error {
	q, err := parseEventQuery(r.URL.Query())
	if err != nil {
		return err
	}
	if q.life != "" && q.life != s.life {
		q.since = 0
	}
	cursor, out := s.log.Cursor(q.since, q.logs), newStream(w)
	out.begin()
	var records []Record
	for {
		var more <-chan struct{}
		records, more = cursor.Read(records[:0], batch)
		for _, record := range records {
			if q.wants(record) && out.write(ofRecord(record)) != nil {
				return nil // the client is gone
			}
		}
		if len(records) > 0 {
			continue
		}
		if !q.follow || more == nil || out.flush() != nil {
			return nil
		}
		select {
		case <-more:
		case <-r.Context().Done():
			return nil
		}
	}
}

func (s *server) getLogs(w http.ResponseWriter, r *http.Request) error {
	q, err := parseLogQuery(r.URL.Query(), time.Now())
	if err != nil {
		return err
	}
	ctx, cancel := s.untilOver(r.Context())
	defer cancel()
	out := newStream(w)
	if q.Follow && out.flush() != nil { // the client learns now that its query is one
		return nil
	}
	err = s.project.Logs(ctx, q, func(line LogLine) error {
		if err := out.write(ofLine(line)); err != nil || !q.Follow {
			return err
		}
		return out.flush()
	})
	switch {
	case err == nil, ctx.Err() != nil, out.err != nil:
		out.begin() // also without a line it is an answer
		return nil
	case !out.begun:
		return err
	}
	_ = out.write(asError(err)) // the status is said already
	return nil
}

func (s *server) getRecord(w http.ResponseWriter, r *http.Request) error {
	if err := parse(r.URL.Query(), nil); err != nil {
		return err
	}
	lines, err := s.project.Record()
	if err != nil {
		return err
	}
	defer lines.Close() //nolint:errcheck // it is read
	w.Header().Set("Content-Type", "application/x-ndjson")
	_, _ = io.Copy(w, lines) // the client may be gone
	return nil
}

// untilOver is a context that Serve's end ends.
func (s *server) untilOver(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-s.over:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

func (s *server) postLease(w http.ResponseWriter, r *http.Request) error {
	var body leaseBody
	if err := decode(http.MaxBytesReader(w, r.Body, maxBody), &body); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if !body.Again && !s.yield(r.Context()) {
		return nil
	}
	l := s.leases.enter(peerOf(r).pid)
	defer s.leases.leave(l)
	out := newStream(w)
	if ahead, holder := s.leases.ahead(l); ahead > 0 {
		if errors.Join(out.write(leaseLine{Ahead: ahead, HolderPID: holder}), out.flush()) != nil {
			return nil
		}
	}
	select {
	case <-l.granted:
	case <-r.Context().Done():
		return nil
	case <-s.over:
		return nil
	}
	if errors.Join(out.write(leaseLine{Granted: true}), out.flush()) != nil {
		return nil
	}
	select {
	case <-r.Context().Done():
	case <-s.over:
	}
	return nil
}
