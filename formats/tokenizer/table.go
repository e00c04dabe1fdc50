package tokenizer

import (
	"math/bits"
	"math/rand/v2"
)

// A table maps numbers to numbers by open addressing. The seed is drawn at
// random, so that no file can be written whose keys collide; what is stored does not depend on it.
type table struct {
	slots []slot // a power of two, or none
	used  int
	seed  uint64
}

// A slot is free where key is 0; keys are stored plus one.
type slot struct {
	key   uint64
	value int32
}

// mixer is 2⁶⁴ divided by the golden ratio, an odd number without pattern.
const mixer = 0x9e3779b97f4a7c15

// minSlots is the first size of a table.
const minSlots = 64

func newTable(capacity int) table {
	size := minSlots
	for size*3 < capacity*4 {
		size *= 2
	}
	return table{slots: make([]slot, size), seed: rand.Uint64()}
}

// home is where the search for key begins.
func (t *table) home(key uint64) uint64 {
	hi, lo := bits.Mul64(key^t.seed, mixer)
	return hi ^ lo
}

func (t *table) get(key uint64) (int32, bool) {
	mask := uint64(len(t.slots) - 1)
	for i := t.home(key) & mask; ; i = (i + 1) & mask {
		switch t.slots[i].key {
		case key + 1:
			return t.slots[i].value, true
		case 0:
			return 0, false
		}
	}
}

// set gives key a value, in place of the one it may have.
func (t *table) set(key uint64, value int32) {
	if (t.used+1)*4 > len(t.slots)*3 {
		t.grow()
	}
	mask := uint64(len(t.slots) - 1)
	i := t.home(key) & mask
	for t.slots[i].key != 0 && t.slots[i].key != key+1 {
		i = (i + 1) & mask
	}
	if t.slots[i].key == 0 {
		t.used++
	}
	t.slots[i] = slot{key + 1, value}
}

func (t *table) grow() {
	old := t.slots
	t.slots, t.used = make([]slot, 2*len(old)), 0
	for _, s := range old {
		if s.key != 0 {
			t.set(s.key-1, s.value)
		}
	}
}
