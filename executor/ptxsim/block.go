package ptxsim

// A block is a thread block under way, and what a worker keeps from one block
// to the next.
type block struct {
	run     *run
	order   int // in which it runs
	number  uint32
	index   [3]int
	warps   []*warp
	memory  []byte // shared memory by address
	arrays  []sharedArray
	shadow  shadow
	recent  []*allocation // by instruction: where its last access was
	found   map[place]*ordered
	reports int
	counts  counts
}

func (r *run) newBlock() *block {
	k := r.k
	b := &block{run: r, found: map[place]*ordered{}, recent: make([]*allocation, len(k.code))}
	b.arrays = k.shared
	size := k.sharedEnd
	if k.dynamic {
		b.arrays = append(b.arrays[:len(b.arrays):len(b.arrays)], sharedArray{"dynamic shared memory", k.sharedEnd, r.dynamic})
		size += r.dynamic
	}
	if len(b.arrays) > 0 {
		b.memory = make([]byte, size)
	}
	b.shadow = newShadow(len(b.memory), r.options.Unchecked)
	b.counts = newCounts(len(k.code))
	threads := r.shape[0] * r.shape[1] * r.shape[2]
	for id := range (threads + 31) / 32 {
		b.warps = append(b.warps, newWarp(b, id, min(threads-32*id, 32)))
	}
	return b
}

// do runs the n-th block; false where it could not go on.
func (b *block) do(n int) (ended bool) {
	defer func() {
		if e := recover(); e != nil {
			if _, ok := e.(stop); !ok {
				panic(e)
			}
			ended = false
		}
	}()
	r := b.run
	b.order, b.reports = n, 0
	if r.options.Reverse {
		n = r.blocks - 1 - n
	}
	b.number = uint32(n)
	b.index = [3]int{n % r.grid[0], n / r.grid[0] % r.grid[1], n / r.grid[0] / r.grid[1]}
	for i := range b.memory {
		b.memory[i] = poison
	}
	b.shadow.begin()
	for _, w := range b.warps {
		w.begin()
	}
	for b.phase() {
	}
	return true
}

// phase runs each warp to its next barrier or its end; false once all ended.
func (b *block) phase() bool {
	waits := false
	for i := range b.warps {
		w := b.warps[i]
		if b.run.options.Reverse {
			w = b.warps[len(b.warps)-1-i]
		}
		if len(w.groups) > 0 {
			w.run()
			waits = waits || len(w.groups) > 0
		}
	}
	b.shadow.barrier()
	for _, w := range b.warps {
		w.phase = 0
	}
	return waits
}
