package launch

import "testing"

func TestSparseSizes(t *testing.T) {
	for _, c := range []struct {
		family          string
		constants       map[string]int
		threads, shared int
		grid            [3]int // of 1000 rows by 300 outputs
	}{
		// 64 rows of 128 bytes and 8·4 tiles of 512 bytes, twice.
		{"block_sparse_linear", map[string]int{"BM": 64, "ROWS": 8, "WM": 16, "STAGES": 2}, 128, 2 * (64*128 + 32*512), [3]int{16, 3, 1}},
		{"block_sparse_linear", map[string]int{"BM": 128, "ROWS": 8, "WM": 32, "STAGES": 2}, 128, 65536, [3]int{8, 3, 1}},
		{"block_sparse_linear", map[string]int{"BM": 16, "ROWS": 1, "WM": 16, "STAGES": 4}, 32, 4 * (16*128 + 4*512), [3]int{63, 19, 1}},
		// 64 rows of 128 bytes, 128 outputs of 64 bytes and 4 strips of 256 bytes, three times.
		{"sparse24_linear", map[string]int{"BM": 64, "BN": 128, "STAGES": 3}, 128, 3 * (64*128 + 128*64 + 4*256), [3]int{16, 3, 1}},
		{"sparse24_linear", map[string]int{"BM": 128, "BN": 128, "STAGES": 2}, 128, 65536, [3]int{8, 3, 1}},
		{"csr_linear", nil, 128, 0, [3]int{32, 10, 1}},
	} {
		k := Make(c.family, c.constants)
		if err := k.Check(); err != nil {
			t.Errorf("%s: %v", k.Entry(), err)
		}
		if k.Threads() != c.threads || k.Shared() != c.shared {
			t.Errorf("%s: %d threads, %d bytes shared, want %d, %d", k.Entry(), k.Threads(), k.Shared(), c.threads, c.shared)
		}
		if g := k.Grid(Size{Rows: 1000, N: 300}); g != c.grid {
			t.Errorf("%s: grid %v, want %v", k.Entry(), g, c.grid)
		}
		if g := k.Grid(Size{}); g != [3]int{1, 1, 1} {
			t.Errorf("%s: grid %v of nothing, want one block", k.Entry(), g)
		}
	}
}

func TestSparseKernelsThatAreRefused(t *testing.T) {
	for _, c := range []struct {
		family    string
		constants map[string]int
	}{
		{"block_sparse_linear", map[string]int{"BM": 48, "ROWS": 8, "WM": 16, "STAGES": 2}},
		{"block_sparse_linear", map[string]int{"BM": 64, "ROWS": 3, "WM": 16, "STAGES": 2}},
		{"block_sparse_linear", map[string]int{"BM": 64, "ROWS": 4, "WM": 24, "STAGES": 2}},
		{"block_sparse_linear", map[string]int{"BM": 16, "ROWS": 4, "WM": 32, "STAGES": 2}},
		{"block_sparse_linear", map[string]int{"BM": 128, "ROWS": 4, "WM": 16, "STAGES": 2}}, // 8 warps
		{"block_sparse_linear", map[string]int{"BM": 128, "ROWS": 8, "WM": 32, "STAGES": 4}}, // 128 KB
		{"block_sparse_linear", map[string]int{"BM": 64, "ROWS": 4, "WM": 16, "STAGES": 1}},  // nothing in flight
		{"sparse24_linear", map[string]int{"BM": 64, "BN": 96, "STAGES": 2}},
		{"sparse24_linear", map[string]int{"BM": 24, "BN": 64, "STAGES": 2}},
		{"sparse24_linear", map[string]int{"BM": 128, "BN": 128, "STAGES": 4}}, // 100 KB
		{"csr_linear", map[string]int{"ACT": 5}},
	} {
		if k := Make(c.family, c.constants); k.Check() == nil {
			t.Errorf("%s: accepted", k.Entry())
		}
	}
}
