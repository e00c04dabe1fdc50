package launch

import "strings"

// rowwiseFamilies are the operators that compute each row by itself. A row is
// the work of one block, so that even a batch of one short row reaches many
// multiprocessors.
var rowwiseFamilies = map[string]*family{
	"embed":       rowwise("count* ids* positions* types* word* position* type* y* H ldw ldy scale.f", "OUT32", 0),
	"select_rows": rowwise("count* offsets* x* y* H ldx ldy", "LAST OUT32 X32", 0),
	"pool":        rowwise("count* offsets* x* y* H ldx ldy", "OUT32 X32", 0),
	"normalize":   rowwise("count* x* y* H ldx ldy", "OUT32 X32", 1),
	"layernorm":   rowwise("count* x* gamma* beta* y* H ldx ldy eps.f", "OUT32 X32", 2),
	"embed_layernorm": rowwise("count* ids* positions* types* word* position* type* gamma* beta* y* H ldw ldy scale.f eps.f",
		"OUT32", 2),
	"skip_layernorm": rowwise("count* x* residual* gamma* beta* bias* columns* sum* norm* H M ldx ldr lds ldn eps.f",
		"N32 R32 S32 X32", 2),
}

// rowThreads is THREADS of rows.cuh: four warps, so that a row of 768 values
// is six to a thread.
const rowThreads = 128

// rowwise is a family of those parameters, whose constants are the storage
// type and flags. sums is how often a block adds up a row: each time the parts
// of its warps meet in shared memory of their own.
func rowwise(params, flags string, sums int) *family {
	f := &family{
		constants: []constant{{"DTYPE", F16, BF16}},
		params:    parseParams(params),
		threads:   func(Kernel) int { return rowThreads },
		shared:    func(Kernel) int { return sums * rowThreads / 32 * 4 },
		grid:      func(_ Kernel, s Size) [3]int { return [3]int{max(1, s.Rows), 1, 1} },
	}
	for _, name := range strings.Fields(flags) {
		f.constants = append(f.constants, constant{name, 0, 1})
	}
	return f
}
