package executor

import "etc/formats/plan"

// A Device runs batches of one program. Executors on the CPU and on a GPU
// implement it; a Device serves one goroutine at a time.
type Device interface {
	// Name says what it is, for records: "cpu avx512 2 threads".
	Name() string
	// Program is the program of p that suits the device best. Where p has none
	// for it, it is fault.Unfit and names the targets that p has.
	Program(p *plan.Plan) (*plan.Program, error)
	// Load prepares a program of a plan, which must outlive the device, for batches of up to
	// maxTokens tokens and the outputs wanted, bit i for output i. Where there
	// is not memory for them, it is fault.Memory.
	Load(p *plan.Program, maxTokens int, wanted uint64) error
	// Run computes the wanted outputs of a batch. One that needs more memory
	// than Load asked for is checked as Load checks.
	Run(b *Batch) error
	// Counters tells what has run since Load.
	Counters() Counters
	Close() error
}

// A Batch is rows of one bucket, one after another: T tokens in B rows.
type Batch struct {
	Bucket    int     // index into Program.Buckets
	Wanted    uint64  // bit i: output i of the program
	IDs       []int32 // [T]
	Types     []int32 // [T]
	Positions []int32 // [T]
	Offsets   []int32 // [B+1], from 0 to T
	// Results[i] is output i, [T or B][width] without gaps: set by Run for the
	// outputs wanted, valid until the next Run.
	Results [][]float32
}

// Pairs is how many keys the queries of an attention over b see, one head.
func (b *Batch) Pairs(p *plan.Params) int64 {
	total := int64(0)
	for row := range len(b.Offsets) - 1 {
		n := int64(b.Offsets[row+1] - b.Offsets[row])
		switch {
		case p.Rows == plan.FirstRows && p.Causal:
			total++
		case p.Rows != plan.AllRows:
			total += n
		case p.Causal:
			total += n * (n + 1) / 2
		default:
			total += n * n
		}
	}
	return total
}

// Counters are sums over all batches.
type Counters struct {
	Tokens, Rows, Batches int64
	// MultiplyAdds by the weights that kernels read, and by the scores and
	// values of attention. A weight that the plan does not hold costs none.
	MultiplyAdds int64
}
