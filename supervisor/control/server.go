package control

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// maxBody bounds a request.
	maxBody = 64 << 20
	// lifeHeader carries Snapshot.Life in each answer.
	lifeHeader = "Upall-Life"
	// headerTimeout bounds how long a client takes for its request's header.
	headerTimeout = 10 * time.Second
	// endTimeout is how long answers may take to end when Serve ends.
	endTimeout = time.Second
)

// server is what Serve runs.
type server struct {
	project Project
	owner   int // may ask, besides root
	log     *Log
	life    string
	leases  leases
	over    chan struct{} // closed when Serve ends
	yielded chan struct{} // closed when the lease is anybody's
}

// Serve answers root and the owner, a user's ID, on the listener until the context is
// over, and closes it. Then it closes the Log too: who follows gets the last events,
// if it takes them at once.
func Serve(ctx context.Context, listener net.Listener, p Project, owner int, log *Log) error {
	life := p.Snapshot().Life
	s := &server{project: p, owner: owner, log: log, life: strconv.Itoa(life), over: make(chan struct{}), yielded: make(chan struct{})}
	if life <= 1 {
		close(s.yielded)
	} else {
		timer := time.AfterFunc(yieldTime, func() { close(s.yielded) })
		defer timer.Stop()
	}
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	h := &http.Server{
		Handler:           s.handler(),
		ReadHeaderTimeout: headerTimeout,
		BaseContext:       func(net.Listener) context.Context { return base },
		ConnContext:       withPeer,
		Protocols:         new(http.Protocols),
	}
	h.Protocols.SetHTTP1(true)
	h.Protocols.SetUnencryptedHTTP2(true) // for clients that have one connection for all
	ended := make(chan error, 1)
	go func() { ended <- h.Serve(listener) }()
	var err error
	select {
	case err = <-ended:
		ended <- http.ErrServerClosed
	case <-ctx.Done():
	}
	log.Close()
	close(s.over)
	patience, stop := context.WithTimeout(base, endTimeout)
	defer stop()
	_ = h.Shutdown(patience) // who does not take its answer in time is cut off
	_ = h.Close()
	<-ended
	if err != nil && !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (s *server) handler() http.Handler {
	mux := http.NewServeMux()
	for pattern, handle := range map[string]func(http.ResponseWriter, *http.Request) error{
		"GET /v1/project":         s.getProject,
		"PUT /v1/project":         s.putProject,
		"GET /v1/events":          s.getEvents,
		"GET /v1/logs":            s.getLogs,
		"GET /v1/record":          s.getRecord,
		"GET /v1/stats":           s.getStats,
		"GET /v1/services/{name}": s.getService,
		"POST /v1/actions/{verb}": s.postAction,
		"POST /v1/lease":          s.postLease,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if err := handle(w, r); err != nil {
				writeError(w, err)
			}
		})
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(lifeHeader, s.life)
		if err := peerOf(r).check(s.owner); err != nil {
			writeError(w, err)
			return
		}
		if _, pattern := mux.Handler(r); pattern == "" {
			writeError(w, notFound(r))
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// notFound answers in JSON what the mux would answer as text.
func notFound(r *http.Request) error {
	for path, methods := range map[string]string{
		"/v1/project": "GET and PUT", "/v1/events": "GET", "/v1/logs": "GET", "/v1/record": "GET", "/v1/stats": "GET", "/v1/lease": "POST",
	} {
		if r.URL.Path == path {
			return Errorf(http.StatusMethodNotAllowed, "%s %s: the method is to be %s", r.Method, path, methods)
		}
	}
	for prefix, method := range map[string]string{"/v1/actions/": "POST", "/v1/services/": "GET"} {
		if strings.HasPrefix(r.URL.Path, prefix) {
			return Errorf(http.StatusMethodNotAllowed, "%s %s: the method is to be %s", r.Method, r.URL.Path, method)
		}
	}
	return Errorf(http.StatusNotFound, "no such endpoint: %s (this upall has /%s/project, events, logs, record, stats, services, actions and lease)", r.URL.Path, Version)
}

func writeError(w http.ResponseWriter, err error) {
	e := asError(err)
	e.Message = strings.ReplaceAll(e.Message, "\n", " ")
	writeJSON(w, e.Status, e)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = newEncoder(w).Encode(v) // the client may be gone
}

// peer is who is at the other end of a connection.
type peer struct {
	uid, pid int
	err      error
}

type peerKey struct{}

// withPeer asks the kernel once for each connection.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	var p peer
	conn, ok := c.(syscall.Conn)
	if !ok {
		p.err = errors.New("it is no Unix socket")
		return context.WithValue(ctx, peerKey{}, p)
	}
	raw, err := conn.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) {
			var cred *syscall.Ucred
			if cred, p.err = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED); p.err == nil {
				p.uid, p.pid = int(cred.Uid), int(cred.Pid)
			}
		})
	}
	p.err = errors.Join(p.err, err)
	return context.WithValue(ctx, peerKey{}, p)
}

func peerOf(r *http.Request) peer {
	p, ok := r.Context().Value(peerKey{}).(peer)
	if !ok {
		return peer{err: errors.New("nobody knows who asks")}
	}
	return p
}

// check refuses everybody but root and the user whose project it is.
func (p peer) check(owner int) error {
	switch {
	case p.err != nil:
		return Errorf(http.StatusForbidden, "find out who asks: %v", p.err)
	case p.uid != 0 && p.uid != owner:
		return Errorf(http.StatusForbidden, "the project belongs to the user with ID %d, and you are %d", owner, p.uid)
	}
	return nil
}
