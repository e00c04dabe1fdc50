package launch

import "strings"

// rowwiseFamilies are the operators that compute each row by itself: a row of
// values is the work of a warp. A pool is over the rows of values that one row
// of the batch has, and the work of a block.
var rowwiseFamilies = map[string]*family{
	"embed":       rowwise("count* ids* positions* types* word* position* type* y* H ldw ldy scale.f", "OUT32"),
	"select_rows": rowwise("count* offsets* x* y* H ldx ldy", "LAST OUT32 X32"),
	"pool":        rowsEach(1, "count* offsets* x* y* H ldx ldy", "OUT32 X32"),
	"normalize":   rowwise("count* x* y* H ldx ldy", "OUT32 X32"),
	"layernorm":   rowwise("count* x* gamma* beta* y* H ldx ldy eps.f", "OUT32 X32"),
	"embed_layernorm": rowwise("count* ids* positions* types* word* position* type* gamma* beta* y* H ldw ldy scale.f eps.f",
		"OUT32"),
	"skip_layernorm": rowwise("count* x* residual* gamma* beta* bias* columns* sum* norm* H M ldx ldr lds ldn eps.f",
		"N32 R32 S32 X32"),
}

// rowThreads is THREADS of rows.cuh.
const rowThreads = 128

// rowwise is a family of those parameters, whose constants are the storage
// type and flags, with a row to each warp.
func rowwise(params, flags string) *family { return rowsEach(rowThreads/warpLanes, params, flags) }

// rowsEach is one with that many rows to a block.
func rowsEach(rows int, params, flags string) *family {
	f := &family{
		constants: []constant{{"DTYPE", F16, BF16}},
		params:    parseParams(params),
		threads:   func(Kernel) int { return rowThreads },
		shared:    func(Kernel) int { return 0 },
		grid:      func(_ Kernel, s Size) [3]int { return [3]int{max(1, ceil(s.Rows, rows)), 1, 1} },
	}
	for _, name := range strings.Fields(flags) {
		f.constants = append(f.constants, constant{name, 0, 1})
	}
	return f
}
