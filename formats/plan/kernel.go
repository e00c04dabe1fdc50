package plan

import "etc/formats/plan/launch"

// A Kernel is compiled code for GPUs: its place in the table of kernels, the
// source that a user may read, and what was made of it. Threads and Shared
// are what the table says; they stand in the file for people.
type Kernel struct {
	launch.Kernel
	Threads int // of a block
	Shared  int // bytes of dynamic shared memory of a block
	Source  Span
	Images  []Image // ascending by SM, cubin before PTX; none where only sources were asked for
}

// A Span is a part of Plan.Code, in bytes.
type Span struct{ Offset, Size int }

// An Image is a kernel compiled for one architecture: a cubin, which runs on
// devices of its major version from its minor one on, or PTX, which a driver
// compiles for any device from its architecture on.
type Image struct {
	SM           int // 80, 90
	PTX          bool
	Code         Span
	Registers    int // of a thread; this and what follows is for people, and 0 for PTX
	Spills       int // bytes of a thread
	StaticShared int // bytes of a block
	Blocks       int // that fit a multiprocessor at once
}

// A Launch is the kernels that a step runs, in order, where a batch has at
// most so many tokens.
type Launch struct {
	Tokens  int   // 64·2ⁿ; 0: any number
	Kernels []int // indices into Plan.Kernels
}
