package event

import (
	"sync"
	"testing"
	"testing/synctest"
)

func TestBusKeepsOrder(t *testing.T) {
	var got []uint64
	b := NewBus(func(e Event) { got = append(got, e.Hold) })
	const n = 3 * maxQueued
	for i := range uint64(n) {
		b.Emit(Event{Hold: i})
	}
	b.Close()
	if len(got) != n {
		t.Fatalf("%d events, want %d", len(got), n)
	}
	for i, hold := range got {
		if hold != uint64(i) {
			t.Fatalf("event %d is number %d", i, hold)
		}
	}
}

// A consumer that is slow makes the writers of logs wait, and nobody else.
func TestBusSlowConsumer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		count := 0
		b := NewBus(func(Event) { <-release; count++ })
		b.Emit(Event{})
		synctest.Wait() // the consumer has the first one, and the queue is empty
		for range maxQueued {
			b.EmitLog(Event{Type: Log})
		}
		waits := make(chan struct{})
		go func() {
			b.EmitLog(Event{Type: Log})
			close(waits)
		}()
		synctest.Wait()
		select {
		case <-waits:
			t.Error("a log was taken beyond the limit")
		default:
		}
		b.Emit(Event{Type: HoldBegan}) // must not wait
		close(release)
		<-waits
		b.Close()
		if want := maxQueued + 3; count != want {
			t.Errorf("%d events were consumed, want %d", count, want)
		}
	})
}

func TestBusManyProducers(t *testing.T) {
	count := 0
	b := NewBus(func(Event) { count++ })
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				b.EmitLog(Event{})
			}
		})
	}
	wg.Wait()
	b.Close()
	if count != 8000 {
		t.Errorf("%d events, want 8000", count)
	}
}
