package plan

import (
	"math"
	"strings"
	"testing"

	"etc/fault"
	"etc/formats/plan/launch"
	"etc/ir/tensor"
)

// kernelOf is the kernel that a step of this operator runs, the last of several.
func kernelOf(q *Program, o Op) *Kernel {
	list := launchesOf(q, o)[0].Kernels
	return &q.Kernels[list[len(list)-1]]
}

// launchesOf are the launches of the first step of this operator.
func launchesOf(q *Program, o Op) []Launch {
	for _, b := range q.Buckets {
		for _, c := range b.Choices {
			if c.Op == o {
				return c.Launches
			}
		}
	}
	return first(q, o).Launches
}

// with puts the kernel of a step in the place of one that differs in a
// constant; where that is in the table it is a kernel like another.
func with(q *Program, o Op, name string, value int) {
	k := kernelOf(q, o)
	for i := range k.Defines {
		if k.Defines[i].Name == name {
			k.Defines[i].Value = value
			k.Threads, k.Shared = k.Kernel.Threads(), k.Kernel.Shared()
			return
		}
	}
	panic("no constant " + name)
}

// forgedGPU are plans with right digests and something wrong in the program
// for a GPU or its kernels.
var forgedGPU = []struct {
	name  string
	says  string
	forge func(q *Program)
}{
	{"two programs of a target", "is for cpu:f32, as one before", func(q *Program) { q.Target = "cpu:f32" }},
	{"a CPU program for a GPU", "buffer 0 is of f16", func(q *Program) { q.Programs = q.Programs[1:]; q.Target = "cpu:f32" }},
	{"another storage type", "buffer 0 is of f16, want f32 or bf16", func(q *Program) { q.Target = "sm_80:bf16" }},
	{"no programs", "programs", func(q *Program) { q.Plan.Programs = nil }},
	{"an integer buffer", "buffer 3 is of i32", func(q *Program) { q.Buffers[3].DType = tensor.I32 }},
	{"no type of a buffer", "buffer 3 is of", func(q *Program) { q.Buffers[3].DType = 200 }},
	{"a stride for the smaller type", "stride", func(q *Program) { q.Buffers[3].DType = tensor.F32 }},
	{"a matrix for the CPU", "operand w", func(q *Program) { operandOf(q, Linear, "w").Index = cpuIndex(q) }},
	{"a table in panels", "operand word", func(q *Program) { operandOf(q, Embed, "word").Index = cpuIndex(q) }},
	{"a bias in halves", "operand b", func(q *Program) { operandOf(q, Linear, "b").Index = operandOf(q, Linear, "w").Index }},
	{"distances in halves", "operand bias", func(q *Program) { operandOf(q, OTFAttention, "bias").Index = operandOf(q, Embed, "word").Index }},
	{"halves in the layout of floats", "dtype", func(q *Program) { weightOf(q, Linear, "b").DType = tensor.F16 }},
	{"floats in the layout of halves", "dtype", func(q *Program) { weightOf(q, Linear, "w").DType = tensor.F32 }},
	{"a vector that is padded", "shape", func(q *Program) { w := weightOf(q, Linear, "w"); w.Shape = w.Shape[:1] }},
	{"padding of halves", "zero", func(q *Program) { put(q, weightOf(q, LinearNLL, "w"), -4, 1); weightOf(q, LinearNLL, "w").Shape[1] = 7 }},
	{"a column of gpu csr", "column", func(q *Program) { put(q, weightOf(q, CSRLinear, "w"), 4*9, 1000) }},
	{"a tile past the matrix", "tile past", func(q *Program) { put(q, weightOf(q, BlockSparseLinear, "w"), 0, 7) }},
	{"columns of csr on a GPU", "has columns", func(q *Program) {
		*operandOf(q, CSRLinear, "columns") = *operandOf(q, Sparse24Linear, "columns")
		w := weightOf(q, Sparse24Linear, "columns")
		w.Shape, w.Size = []int{8}, 32
		for i := range int32(8) {
			put(q, w, int64(4*i), i)
		}
		s := first(q, Sparse24Linear)
		s.Args[4] = Arg{}
		s.Args[1] = first(q, CSRLinear).Args[1]
		s.Op, s.Reduction = CSRLinear, first(q, CSRLinear).Reduction
	}},
	{"reduction of the CPU", "reduction", func(q *Program) { first(q, Linear).Reduction.Instruction = fma }},
	{"reduction of another storage type", "reduction", func(q *Program) { first(q, Linear).Reduction.Instruction = "mma-bf16-f32" }},
	{"dense reduction of 2:4", "reduction", func(q *Program) { first(q, Sparse24Linear).Reduction.Instruction = "mma-f16-f32" }},
	{"reduction in segments", "reduction", func(q *Program) { first(q, VOAttention).Reduction.Segment = 16 }},

	{"family that is not known", "kernel 3: kernel family", func(q *Program) { q.Kernels[3].Family = "cuda_malloc" }},
	{"a constant less", "constants", func(q *Program) { k := &q.Kernels[3]; k.Defines = k.Defines[1:] }},
	{"a constant beyond its range", "want", func(q *Program) { kernelOf(q, Linear).Defines[0].Value = 99 }},
	{"more threads than the table says", "threads", func(q *Program) { q.Kernels[3].Threads = 1024 }},
	{"less shared memory than the table says", "shared memory", func(q *Program) { kernelOf(q, Linear).Shared -= 16 }},
	{"negative shared memory", "shared memory", func(q *Program) { kernelOf(q, Pool).Shared = -1 }},
	{"a kernel twice", "is there twice", func(q *Program) {
		q.Kernels[1].Kernel = q.Kernels[0].Kernel
		q.Kernels[1].Threads, q.Kernels[1].Shared = q.Kernels[0].Threads, q.Kernels[0].Shared
	}},
	{"a kernel that no step runs", "no step runs", func(q *Program) {
		s := first(q, Pool)
		k := q.Kernels[s.Launches[0].Kernels[0]]
		q.Plan.Code = append(q.Plan.Code, q.Plan.Code[k.Source.Offset:k.Source.Offset+64]...)
		k.Kernel = launch.Make("pool", map[string]int{"DTYPE": launch.BF16})
		k.Source, k.Images = Span{len(q.Plan.Code) - 64, 64}, nil
		q.Plan.Kernels = append(q.Plan.Kernels, k)
	}},

	{"code that begins elsewhere", "offset 64, want 0", func(q *Program) { q.Kernels[0].Source.Offset = 64; q.Kernels[0].Source.Size = 1 }},
	{"code over other code", "offset 0, want", func(q *Program) { q.Kernels[0].Images[1].Code.Offset = 0 }},
	{"code past the end", "bytes from offset", func(q *Program) { k := &q.Kernels[len(q.Kernels)-1]; k.Images[2].Code.Size = 65 }},
	{"code of a size that wraps around", "bytes from offset", func(q *Program) { q.Kernels[0].Source.Size = math.MaxInt }},
	{"code at a negative offset", "offset -64", func(q *Program) { q.Kernels[0].Source.Offset = -64 }},
	{"code of no bytes", "0 bytes from offset", func(q *Program) { q.Kernels[0].Images[0].Code.Size = 0 }},
	{"a hidden byte between codes", "code: the gap", func(q *Program) { s := q.Kernels[0].Source; q.Code[s.Offset+s.Size] = 1 }},
	{"a hidden byte after the last code", "code: the gap", func(q *Program) { q.Code[len(q.Code)-1] = 1 }},
	{"code that no kernel has", "code: ", func(q *Program) { q.Plan.Code = append(q.Plan.Code, make([]byte, 64)...) }},
	{"a code section that is cut", "code: ", func(q *Program) { q.Plan.Code = q.Plan.Code[:len(q.Plan.Code)-1] }},
	{"source that is not UTF-8", "not UTF-8", func(q *Program) { q.Code[q.Kernels[0].Source.Offset] = 0xff }},
	{"PTX that is not UTF-8", "begins with", func(q *Program) { q.Code[q.Kernels[0].Images[1].Code.Offset] = 0xff }},
	{"PTX that is a cubin", "begins with", func(q *Program) { copy(q.Code[q.Kernels[0].Images[1].Code.Offset:], elf) }},
	{"a cubin that is none", "begins with", func(q *Program) { q.Code[q.Kernels[0].Images[0].Code.Offset] = '/' }},
	{"an architecture that is not known", "architecture 70", func(q *Program) { q.Kernels[0].Images[0].SM = 70 }},
	{"images out of order", "ascending", func(q *Program) { m := q.Kernels[0].Images; m[0].SM = 90 }},
	{"an image twice", "ascending", func(q *Program) {
		m := q.Kernels[0].Images
		m[2].SM, m[1].SM = 80, 80
		m[1].PTX = false
		copy(q.Code[m[1].Code.Offset:], elf)
	}},
	{"registers of PTX", "something", func(q *Program) { q.Kernels[0].Images[1].Registers = 1 }},
	{"negative registers", "something", func(q *Program) { q.Kernels[0].Images[0].Registers = -1 }},
	{"no code for the target", "no code for sm_80", func(q *Program) { dropImages(q, 0, 2) }},
	{"images of some kernels only", "no code for sm_80", func(q *Program) { dropImages(q, 3, 0) }},

	{"no launches", "no launch for any number", func(q *Program) { first(q, Linear).Launches = nil }},
	{"launches of the CPU", "want none", func(q *Program) { first(q.Programs[0], Linear).Launches = first(q, Linear).Launches }},
	{"launches of a choice on the CPU", "want none", func(q *Program) { q.Programs[0].Buckets[0].Choices[0].Launches = first(q, Linear).Launches }},
	{"launches of a step with choices", "want none", func(q *Program) { first(q, OTFAttention).Launches = launchesOf(q, OTFAttention) }},
	{"a choice without launches", "no launch for any number", func(q *Program) { q.Buckets[0].Choices[0].Launches = nil }},
	{"the last class bounded", "no launch for any number", func(q *Program) { first(q, Linear).Launches[2].Tokens = 1024 }},
	{"classes that descend", "ascending", func(q *Program) { first(q, Linear).Launches[0].Tokens = 512 }},
	{"a class of no power of two", "ascending", func(q *Program) { first(q, Linear).Launches[1].Tokens = 192 }},
	{"a class below 64", "ascending", func(q *Program) { first(q, Linear).Launches[0].Tokens = 32 }},
	{"a negative class", "ascending", func(q *Program) { first(q, Linear).Launches[0].Tokens = -64 }},
	{"a class in the middle for all", "ascending", func(q *Program) { first(q, Linear).Launches[1].Tokens = 0 }},
	{"a kernel less", "0 kernels, want 1", func(q *Program) { first(q, Linear).Launches[1].Kernels = nil }},
	{"a kernel more", "2 kernels, want 1", func(q *Program) { l := first(q, Linear).Launches; l[1].Kernels = append(l[1].Kernels[:1:1], 0) }},
	{"kernel index past the end", "of 2", func(q *Program) { first(q, Linear).Launches[1].Kernels = []int{len(q.Kernels)} }},
	{"kernel index negative", "kernel -1", func(q *Program) { first(q, Linear).Launches[1].Kernels = []int{-1} }},
	{"the kernel of another operator", "want linear", func(q *Program) { first(q, Linear).Launches[1].Kernels = launchesOf(q, Pool)[0].Kernels }},
	{"kernels in the other order", "is of vo_attention, want linear", func(q *Program) {
		k := first(q, VOAttention).Launches[0].Kernels
		first(q, VOAttention).Launches[0].Kernels = []int{k[1], k[0]}
	}},

	{"kernels of another storage type", "DTYPE is 1, want 0", func(q *Program) { with(q, Pool, "DTYPE", launch.BF16) }},
	{"another activation", "ACT is 2, want 1", func(q *Program) { with(q, CSRLinear, "ACT", 2) }},
	{"another head width", "D is 16, want 8", func(q *Program) { with(q, FlashAttention, "D", 16) }},
	{"another value width", "DV is 8, want 16", func(q *Program) { with(q, FlashAttention, "DV", 8) }},
	{"a bias that is not there", "BIAS is 1, want 0", func(q *Program) { with(q, FlashAttention, "BIAS", 1) }},
	{"causal for full attention", "CAUSAL is 1, want 0", func(q *Program) { with(q, VOAttention, "CAUSAL", 1) }},
	{"queries of other rows", "ROWS is 1, want 0", func(q *Program) { with(q, FlashAttention, "ROWS", 1) }},
	{"the first row for the last", "LAST is 0, want 1", func(q *Program) { with(q, SelectRows, "LAST", 0) }},
	{"gathered columns that are not there", "GATHER is 1, want 0", func(q *Program) { with(q, Linear, "GATHER", 1) }},
	{"columns that are not gathered", "GATHER is 0, want 1", func(q *Program) { with(q, Sparse24Linear, "GATHER", 0) }},
	{"a result of the other width", "OUT32 is 1, want 0", func(q *Program) { with(q, BlockSparseLinear, "OUT32", 1) }},
	{"an operand of the other width", "X32 is 1, want 0", func(q *Program) { with(q, SelectRows, "X32", 1) }},
	{"a residual of the other width", "R32 is 0, want 1", func(q *Program) { with(q, Sparse24Linear, "R32", 0) }},
	{"a sum of the other width", "S32 is 0, want 1", func(q *Program) { with(q, SkipLayerNorm, "S32", 0) }},
	{"a norm of the other width", "N32 is 1, want 0", func(q *Program) { with(q, SkipLayerNorm, "N32", 1) }},
	{"rows longer than the kernel keeps", "MAXS is 16, want at least 17", func(q *Program) {
		q.Model.MaxTokens = 17
		for i := range q.Weights {
			if w := &q.Weights[i]; strings.HasPrefix(w.Name, "position") || w.Name == "distances" {
				grow(q, i, 18)
			}
		}
		q.Buckets[1].MaxTokens = 17
	}},
	{"more shared memory than the target has", "bytes of shared memory, sm_80 has", func(q *Program) { with(q, OTFAttention, "MAXS", 2048) }},
	{"a loss in halves", "result 0 is f16, want f32", func(q *Program) { resultOf(q, LinearNLL).DType = tensor.F16 }},
	{"queries in floats", "qkv is f32, want f16", func(q *Program) {
		b := bufferOf(q, OTFAttention, "qkv")
		b.DType, b.Stride, b.Offset = tensor.F32, 256, 1<<16
		for i := range q.Steps {
			if q.Steps[i].Op == Linear && q.Steps[i].Results[0] == operandOf(q, OTFAttention, "qkv").Index {
				for j := range q.Steps[i].Launches {
					q.Steps[i].Launches[j].Kernels = []int{wideLinear(q)}
				}
			}
		}
	}},
}

func dropImages(q *Program, kernel, from int) {
	// What is left lies one after another again.
	var code []byte
	take := func(s *Span) {
		b := q.Code[s.Offset : s.Offset+s.Size]
		s.Offset = len(code)
		code = append(code, b...)
		code = append(code, make([]byte, int(align(int64(len(code))))-len(code))...)
	}
	for i := range q.Kernels {
		k := &q.Kernels[i]
		if i == kernel {
			k.Images = k.Images[from:]
		}
		if i == kernel && from == 0 {
			k.Images = nil
		}
		take(&k.Source)
		for j := range k.Images {
			take(&k.Images[j].Code)
		}
	}
	q.Plan.Code = code
}

// cpuIndex is a weight in panels.
func cpuIndex(q *Program) int { return first(q.Programs[0], Linear).Args[1].Index }

// grow gives a weight more rows, or more distances, and moves those after it.
func grow(q *Program, i, n int) {
	w := &q.Weights[i]
	last := w.Offset + w.Size
	if w.Name == "distances" {
		w.Shape[1] = 2*n - 1
		w.Size = int64(4 * w.Shape[0] * w.Shape[1])
	} else {
		perRow := w.Size / int64(w.Shape[0])
		w.Shape[0] = n
		w.Size = int64(n) * perRow
	}
	more := align(w.Offset+w.Size) - align(last)
	at := align(last)
	q.Plan.Data = append(q.Data[:at:at], append(make([]byte, more), q.Data[at:]...)...)
	for j := i + 1; j < len(q.Weights); j++ {
		q.Weights[j].Offset += more
	}
	clear(q.Data[last:align(w.Offset+w.Size)])
}

// wideLinear is the kernel of a linear with a float32 result, changed to have no activation.
func wideLinear(q *Program) int {
	for i := range q.Kernels {
		if k := &q.Kernels[i]; k.Family == "linear" && k.Value("OUT32") == 1 {
			for j := range k.Defines {
				if k.Defines[j].Name == "ACT" {
					k.Defines[j].Value = 0
				}
			}
			for s := range q.Steps {
				if q.Steps[s].Op == Linear && q.Steps[s].Params.Act == Tanh {
					q.Steps[s].Params.Act = NoAct
				}
			}
			return i
		}
	}
	panic("no such kernel")
}

func TestForgedGPUProgramsAreRefused(t *testing.T) {
	for _, f := range forgedGPU {
		p := mixed()
		f.forge(gpu(p))
		_, err := Decode(Encode(p))
		refused(t, f.name, fault.Corrupt, err)
		if err != nil && !strings.Contains(err.Error(), f.says) {
			t.Errorf("%s: %q does not say %q", f.name, err, f.says)
		}
	}
}

// TestGridsAreBounded: heads and outputs beyond what a grid has blocks for.
func TestGridsAreBounded(t *testing.T) {
	q := gpu(mixed())
	s := *first(q, FlashAttention)
	for heads, ok := range map[int]bool{1: true, maxGrid: true, maxGrid + 1: false, maxDim: false} {
		s.Params.Heads = heads
		l := &launched{&stepView{programChecker: &programChecker{checker: &checker{plan: q.Plan}, program: q}, Step: &s, info: s.Op.info()}, FlashAttention, 1}
		if err := l.gridFits(kernelOf(q, FlashAttention).Kernel); (err == nil) != ok {
			t.Errorf("%d heads: error %v, want one: %v", heads, err, !ok)
		}
	}
}

// TestSourceOnlyPlansAreRead: nothing runs them, but they can be inspected.
func TestSourceOnlyPlansAreRead(t *testing.T) {
	p := mixed()
	for i := range p.Kernels {
		p.Kernels[i].Images = nil
	}
	dropImages(gpu(p), -1, 0)
	if _, err := Decode(Encode(p)); err != nil {
		t.Error(err)
	}
}

// TestTheWalkerSeesForgedKernels holds the walker against what Check refuses.
func TestTheWalkerSeesForgedKernels(t *testing.T) {
	for _, name := range []string{"another head width", "another value width", "a result of the other width", "columns that are not gathered"} {
		p := mixed()
		for _, f := range forgedGPU {
			if f.name == name {
				f.forge(gpu(p))
			}
		}
		if err := walkAll(p); err == nil {
			t.Errorf("%s: no complaint", name)
		}
	}
}
