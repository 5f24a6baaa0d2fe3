package traffic

// halfRecent is how many entries a half of a recent takes.
const halfRecent = 1 << 15

// recent is a map that forgets its oldest entries: at least the newest halfRecent
// are there, at most twice as many.
type recent[K comparable, V any] struct{ now, before map[K]V }

func (r *recent[K, V]) put(k K, v V) {
	if r.now == nil || len(r.now) >= halfRecent {
		r.now, r.before = map[K]V{}, r.now
	}
	r.now[k] = v
}

func (r *recent[K, V]) get(k K) (v V, ok bool) {
	if v, ok = r.now[k]; !ok {
		v, ok = r.before[k]
	}
	return v, ok
}

func (r *recent[K, V]) drop(k K) {
	delete(r.now, k)
	delete(r.before, k)
}
