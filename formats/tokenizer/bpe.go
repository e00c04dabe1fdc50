package tokenizer

// A symbol is a token of a word while it is merged, in a list by index. The
// neighbours of the ends are noSymbol.
type symbol struct {
	id         int32
	prev, next int32
	gone       bool // merged into its left neighbour
}

const noSymbol = int32(-1)

func pairKey(left, right int32) uint64 { return uint64(left)<<32 | uint64(uint32(right)) }

// makeMerges ranks the merges. Of one that comes twice the later rank holds, as in Hugging Face.
func (t *Tokenizer) makeMerges() {
	t.merges = newTable(len(t.def.merges))
	for rank, m := range t.def.merges {
		t.merges.set(pairKey(m.left, m.right), int32(rank))
	}
}

// appendBPE appends the ids of a word: its bytes, merged by ascending rank, from
// the left among equals. The queue is a heap, so a word of n bytes takes n·log n.
func (e *Encoder) appendBPE(ids []int32, word []byte) []int32 {
	e.addSymbols(word)
	e.queue = e.queue[:0]
	for i := range len(e.symbols) - 1 {
		e.propose(int32(i))
	}
	for len(e.queue) > 0 {
		top := e.pop()
		e.merge(int32(top>>32), int32(uint32(top)))
	}
	for i := int32(0); i < int32(len(e.symbols)); i = e.symbols[i].next {
		ids = append(ids, e.symbols[i].id)
		if e.symbols[i].next == noSymbol {
			break
		}
	}
	return ids
}

// addSymbols makes the list of the bytes of word. A byte without a token
// becomes the unknown token, where there is one, or vanishes.
func (e *Encoder) addSymbols(word []byte) {
	d := &e.t.def
	e.symbols = e.symbols[:0]
	unknown := false
	for _, b := range word {
		id := d.byteID[b]
		fused := id == noID && unknown && d.fuseUnk
		if unknown = id == noID; unknown {
			id = d.unk
		}
		if id == noID || fused {
			continue
		}
		n := int32(len(e.symbols))
		e.symbols = append(e.symbols, symbol{id: id, prev: n - 1, next: n + 1})
	}
	if n := len(e.symbols); n > 0 {
		e.symbols[n-1].next = noSymbol
	}
}

// propose queues the merge of symbol i with its right neighbour, if there is one.
func (e *Encoder) propose(i int32) {
	next := e.symbols[i].next
	if next == noSymbol {
		return
	}
	if rank, ok := e.t.merges.get(pairKey(e.symbols[i].id, e.symbols[next].id)); ok {
		e.push(uint64(rank)<<32 | uint64(i))
	}
}

// merge merges symbol i with its right neighbour, if the result is still what
// the queued rank meant. Like Hugging Face it compares results, not ranks:
// two merges may give one token.
func (e *Encoder) merge(rank, i int32) {
	s := &e.symbols[i]
	if s.gone || s.next == noSymbol {
		return
	}
	right := &e.symbols[s.next]
	now, ok := e.t.merges.get(pairKey(s.id, right.id))
	if !ok || e.t.def.merges[now].result != e.t.def.merges[rank].result {
		return
	}
	s.id, s.next = e.t.def.merges[rank].result, right.next
	right.gone = true
	if s.next != noSymbol {
		e.symbols[s.next].prev = i
	}
	if s.prev != noSymbol {
		e.propose(s.prev)
	}
	e.propose(i)
}

// push adds an entry, rank above symbol, to the heap whose top is the smallest.
func (e *Encoder) push(entry uint64) {
	e.queue = append(e.queue, entry)
	for i := len(e.queue) - 1; i > 0; {
		parent := (i - 1) / 2
		if e.queue[parent] <= entry {
			break
		}
		e.queue[i], e.queue[parent] = e.queue[parent], entry
		i = parent
	}
}

func (e *Encoder) pop() uint64 {
	q := e.queue
	top, n := q[0], len(q)-1
	q[0] = q[n]
	e.queue = q[:n]
	for i := 0; ; {
		least := 2*i + 1
		if least >= n {
			return top
		}
		if least+1 < n && q[least+1] < q[least] {
			least++
		}
		if q[i] <= q[least] {
			return top
		}
		q[i], q[least] = q[least], q[i]
		i = least
	}
}
