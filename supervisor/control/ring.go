package control

// ring is a queue that counts what has ever gone through it: its elements are
// first, first+1, ... next-1.
type ring[T any] struct {
	slots []T // element n is in slot n % len
	first uint64
	next  uint64
}

func (r *ring[T]) len() int { return int(r.next - r.first) } //nolint:gosec // it fits into the memory

// at returns element n, which must be there.
func (r *ring[T]) at(n uint64) *T { return &r.slots[n%uint64(len(r.slots))] }

func (r *ring[T]) push(v T) {
	if r.len() == len(r.slots) {
		r.grow()
	}
	r.next++
	*r.at(r.next - 1) = v
}

// drop removes the first element and returns it.
func (r *ring[T]) drop() T {
	slot := r.at(r.first)
	v := *slot
	*slot = *new(T) // what it refers to is no longer kept
	r.first++
	return v
}

func (r *ring[T]) grow() {
	bigger := make([]T, max(64, 2*len(r.slots)))
	for n := r.first; n < r.next; n++ {
		bigger[n%uint64(len(bigger))] = *r.at(n)
	}
	r.slots = bigger
}

// search returns the first element for which is holds, where it holds for all
// after that; next if there is none.
func (r *ring[T]) search(is func(*T) bool) uint64 {
	low, high := r.first, r.next
	for low < high {
		middle := low + (high-low)/2
		if is(r.at(middle)) {
			high = middle
		} else {
			low = middle + 1
		}
	}
	return low
}
