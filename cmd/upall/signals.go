package main

import (
	"os"
	"os/signal"
	"syscall"

	"upall/supervisor"
)

// watchSignals turns the first SIGINT, SIGTERM or SIGHUP into a graceful stop and the
// second into a kill. interrupted returns the first, 0 if there was none.
func watchSignals(tell func(string)) (control supervisor.Control, interrupted func() syscall.Signal, unwatch func()) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	stop, kill, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	first := make(chan syscall.Signal, 1)
	go func() {
		select {
		case sig := <-signals:
			tell("stopping gracefully; press Ctrl+C again to kill")
			number, _ := sig.(syscall.Signal) // os/signal delivers no other type here
			first <- number
			close(stop)
		case <-done:
			return
		}
		select {
		case <-signals:
			tell("killing")
			close(kill)
		case <-done:
		}
	}()
	interrupted = func() syscall.Signal {
		select {
		case sig := <-first:
			return sig
		default:
			return 0
		}
	}
	// Signals stay caught: what is left to do must be done.
	return supervisor.Control{Stop: stop, Kill: kill}, interrupted, func() { close(done) }
}
