package tokenizer

import "slices"

// symbols are the tokens of a word while it is merged, in as little memory as
// they can be listed: a word may have 16 MB. Each begins as one entry, its id.
// One that was merged of n entries has its id in the first; the others are
// negative, and the second and the last of them are -n, by which neighbours
// find each other.
type symbols []int32

const mergedAway = int32(-1)

// next is where the symbol after that at i begins, len(s) at the end.
func (s symbols) next(i int32) int32 {
	if next := i + 1; int(next) == len(s) || s[next] >= 0 {
		return next
	}
	return i - s[i+1]
}

// prev is where the symbol before that at i begins, -1 at the start.
func (s symbols) prev(i int32) int32 {
	if i == 0 || s[i-1] >= 0 {
		return i - 1
	}
	return i + s[i-1]
}

// merge makes one symbol of that at i and the next, which ends before end.
func (s symbols) merge(i, right, end, id int32) {
	s[i], s[right] = id, mergedAway
	s[i+1], s[end-1] = i-end, i-end
}

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
	e.queue = slices.Grow(e.queue[:0], len(e.symbols))
	for i := range int32(len(e.symbols)) {
		e.propose(i)
	}
	for len(e.queue) > 0 {
		top := e.pop()
		e.merge(int32(top>>32), int32(uint32(top)))
	}
	count := 0
	for i := int32(0); int(i) < len(e.symbols); i = e.symbols.next(i) {
		count++
	}
	ids = slices.Grow(ids, count)
	for i := int32(0); int(i) < len(e.symbols); i = e.symbols.next(i) {
		ids = append(ids, e.symbols[i])
	}
	return ids
}

// addSymbols makes the list of the bytes of word. A byte without a token
// becomes the unknown token, where there is one, or vanishes.
func (e *Encoder) addSymbols(word []byte) {
	d := &e.t.def
	e.symbols = slices.Grow(e.symbols[:0], len(word))
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
		e.symbols = append(e.symbols, id)
	}
}

// propose queues the merge of the symbol at i with its right neighbour, if there is one.
func (e *Encoder) propose(i int32) {
	next := e.symbols.next(i)
	if int(next) == len(e.symbols) {
		return
	}
	if rank, ok := e.t.merges.get(pairKey(e.symbols[i], e.symbols[next])); ok {
		e.push(uint64(rank)<<32 | uint64(i))
	}
}

// merge merges the symbol at i with its right neighbour, if the result is still
// what the queued rank meant. Like Hugging Face it compares results, not ranks:
// two merges may give one token.
func (e *Encoder) merge(rank, i int32) {
	if e.symbols[i] < 0 { // merged into its left neighbour
		return
	}
	right := e.symbols.next(i)
	if int(right) == len(e.symbols) {
		return
	}
	now, ok := e.t.merges.get(pairKey(e.symbols[i], e.symbols[right]))
	if !ok || e.t.def.merges[now].result != e.t.def.merges[rank].result {
		return
	}
	e.symbols.merge(i, right, e.symbols.next(right), e.t.def.merges[rank].result)
	if prev := e.symbols.prev(i); prev >= 0 {
		e.propose(prev)
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
