package executor

// A store keeps copies of slices until it is cleared. It holds one piece of
// memory as large as twice what it has held at once, so in the long run it
// allocates nothing, however lengths are spread over its slices.
type store[E any] struct{ memory []E }

// leastStore is the size of the first piece, in elements.
const leastStore = 1 << 10

// keep returns a copy of v that is valid until clear.
func (s *store[E]) keep(v []E) []E {
	if cap(s.memory)-len(s.memory) < len(v) { // what was kept stays where it is
		s.memory = make([]E, 0, max(2*cap(s.memory), len(v), leastStore))
	}
	from := len(s.memory)
	s.memory = append(s.memory, v...)
	return s.memory[from:len(s.memory):len(s.memory)]
}

// reserve clears a store that is going to hold n elements.
func (s *store[E]) reserve(n int) {
	if s.clear(); cap(s.memory) < n {
		s.memory = nil
		s.memory = make([]E, 0, n)
	}
}

func (s *store[E]) clear() { s.memory = s.memory[:0] }
