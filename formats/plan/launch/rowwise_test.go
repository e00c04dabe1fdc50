package launch

import (
	"slices"
	"strings"
	"testing"
)

// TestRowwiseSizes: a row is one of the four warps of a block of 128 threads,
// of a pool a block. No shared memory is needed.
func TestRowwiseSizes(t *testing.T) {
	if len(rowwiseFamilies) != 7 {
		t.Errorf("%d families, 7 are tested", len(rowwiseFamilies))
	}
	for family := range rowwiseFamilies {
		for _, dtype := range []int{F16, BF16} {
			k := Make(family, map[string]int{"DTYPE": dtype})
			if err := k.Check(); err != nil {
				t.Error(err)
			}
			if k.Threads() != 128 || k.Shared() != 0 {
				t.Errorf("%s: %d threads, %d bytes of shared memory, want 128, 0", k.Entry(), k.Threads(), k.Shared())
			}
			for rows, want := range map[int]int{0: 1, 1: 1, 2: 1, 4: 1, 5: 2, 64: 16, 1000: 250} {
				if family == "pool" {
					want = max(1, rows)
				}
				size := Size{Rows: rows, Tiles: 7, N: 300, Heads: 12} // only the rows count
				if g := k.Grid(size); g != [3]int{want, 1, 1} {
					t.Errorf("%s: grid %v of %d rows, want %d blocks", k.Entry(), g, rows, want)
				}
			}
		}
	}
}

// TestRowwiseParams: the order of parameters, as the kernels declare them, and
// what each is passed as.
func TestRowwiseParams(t *testing.T) {
	for family, want := range map[string]string{
		"embed":       "count* ids* positions* types* word* position* type* y* H ldw ldy scale.f",
		"select_rows": "count* offsets* x* y* H ldx ldy",
		"pool":        "count* offsets* x* y* H ldx ldy",
		"normalize":   "count* x* y* H ldx ldy",
		"layernorm":   "count* x* gamma* beta* y* H ldx ldy eps.f",
		"embed_layernorm": "count* ids* positions* types* word* position* type* gamma* beta* y* H ldw ldy " +
			"scale.f eps.f",
		"skip_layernorm": "count* x* residual* gamma* beta* bias* columns* sum* norm* H M ldx ldr lds ldn eps.f",
	} {
		var got []string
		for _, p := range Make(family, nil).Params() {
			got = append(got, p.Name+map[ParamKind]string{Pointer: "*", Float: ".f"}[p.Kind])
		}
		if !slices.Equal(got, strings.Fields(want)) {
			t.Errorf("%s takes %v, want %s", family, got, want)
		}
	}
}

// TestRowwiseConstants: each family has the storage type and a flag for each
// operand or result that may be float32, and refuses every other value.
func TestRowwiseConstants(t *testing.T) {
	for family, flags := range map[string]string{
		"embed": "OUT32", "embed_layernorm": "OUT32", "select_rows": "LAST OUT32 X32", "pool": "OUT32 X32", "normalize": "OUT32 X32",
		"layernorm": "OUT32 X32", "skip_layernorm": "N32 R32 S32 X32",
	} {
		names := append(strings.Fields(flags), "DTYPE")
		if k := Make(family, nil); len(k.Defines) != len(names) {
			t.Errorf("%s has the constants %v, want %v", family, k.Defines, names)
		}
		for _, name := range names {
			for value, good := range map[int]bool{0: true, 1: true, 2: false, -1: false} {
				k := Make(family, map[string]int{name: value})
				if err := k.Check(); (err == nil) != good {
					t.Errorf("%s: %v", k.Entry(), err)
				} else if !good && !strings.Contains(err.Error(), name+" is") {
					t.Errorf("%s: %v, want %s named", k.Entry(), err, name)
				}
			}
		}
	}
	k := Make("skip_layernorm", map[string]int{"S32": 1, "DTYPE": BF16, "N32": 1})
	if want := "skip_layernorm_dtype1_n321_s321"; k.Entry() != want {
		t.Errorf("entry %s, want %s", k.Entry(), want)
	}
}

// TestRowwiseOccupancy: rows.cuh asks for eight blocks of a multiprocessor, so
// for at most 64 registers a thread; shared memory must leave room for them.
func TestRowwiseOccupancy(t *testing.T) {
	for family := range rowwiseFamilies {
		k := Make(family, nil)
		for _, sm := range []int{80, 90} {
			if blocks := Occupancy(sm, 64, k.Threads(), k.Shared()); blocks != 8 {
				t.Errorf("%s on sm_%d: %d blocks, want 8", family, sm, blocks)
			}
		}
	}
}
