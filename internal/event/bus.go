package event

import "sync"

// maxQueued is how many events may wait in a Bus before EmitLog waits.
const maxQueued = 10_000

// Bus hands events on to one consumer in order, without making the producers of
// decisions wait: the queue of those has no limit, for their number is bounded
// by the connects that wait. Make one with NewBus.
type Bus struct {
	mu     sync.Mutex // guards what follows
	queue  []Event
	closed bool
	filled *sync.Cond // the queue is not empty, or the bus is closed
	room   *sync.Cond // the queue is below maxQueued

	done chan struct{}
}

// NewBus starts a goroutine that calls consume for each event.
func NewBus(consume func(Event)) *Bus {
	b := &Bus{done: make(chan struct{})}
	b.filled, b.room = sync.NewCond(&b.mu), sync.NewCond(&b.mu)
	go b.run(consume)
	return b
}

// Emit queues an event and never waits.
func (b *Bus) Emit(e Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.queue = append(b.queue, e)
	b.filled.Signal()
}

// EmitLog queues an event, and waits while the consumer is far behind: so a
// service that writes faster than anyone can read is slowed by its own output.
func (b *Bus) EmitLog(e Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.queue) >= maxQueued && !b.closed {
		b.room.Wait()
	}
	b.queue = append(b.queue, e)
	b.filled.Signal()
}

// Close waits until all events are consumed.
func (b *Bus) Close() {
	b.mu.Lock()
	b.closed = true
	b.filled.Signal()
	b.room.Broadcast()
	b.mu.Unlock()
	<-b.done
}

func (b *Bus) run(consume func(Event)) {
	defer close(b.done)
	for {
		b.mu.Lock()
		for len(b.queue) == 0 && !b.closed {
			b.filled.Wait()
		}
		batch := b.queue
		b.queue = nil
		b.room.Broadcast()
		b.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		for _, e := range batch {
			consume(e)
		}
	}
}
