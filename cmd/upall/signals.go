package main

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// stopper turns the first SIGINT, SIGTERM or SIGHUP into a graceful stop and the
// second into a kill.
type stopper struct {
	first, second chan struct{} // closed
	signals       chan os.Signal

	mu     sync.Mutex // guards what follows
	signal syscall.Signal
}

func watchSignals() (s *stopper, unwatch func()) {
	signals, done := make(chan os.Signal, 2), make(chan struct{})
	s = &stopper{first: make(chan struct{}), second: make(chan struct{}), signals: signals}
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		select {
		case sig := <-signals:
			s.mu.Lock()
			s.signal, _ = sig.(syscall.Signal) // os/signal delivers no other type here
			s.mu.Unlock()
			close(s.first)
		case <-done:
			return
		}
		select {
		case <-signals:
			close(s.second)
		case <-done:
		}
	}()
	// Signals stay caught: what is left to do must be done.
	return s, func() { close(done) }
}

// raise does as if the signal had come.
func (s *stopper) raise(sig syscall.Signal) {
	select {
	case s.signals <- sig:
	default: // others have come
	}
}

// surviveBrokenPipes has a write of what nobody reads any more fail, and not end
// this process: it may leave nothing undone. It is not ignored, as programs that
// are started would inherit that.
func surviveBrokenPipes() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }

// was tells whether there was a signal.
func (s *stopper) was() bool {
	select {
	case <-s.first:
		return true
	default:
		return false
	}
}

// code is the exit code that the first signal means.
func (s *stopper) code() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return 128 + int(s.signal)
}

// context ends with the first signal.
func (s *stopper) context(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(parent)
	go func() {
		select {
		case <-s.first:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}
