package ptxsim_test

import (
	"errors"
	"fmt"
	"testing"

	"etc/executor/ptxsim"
)

// sample is a kernel k(to, from, n) around a body. On entry %rd1 is to, %rd2
// from, %r1 the thread, %r2 the block, %r3 n; %rd3 and %rd4 are to and from
// plus four bytes a thread, %r4 is four times the thread.
func sample(declarations, body string) []byte {
	return []byte(`.version 8.0
.target sm_80
.address_size 64
.extern .shared .align 16 .b8 dynamic[];
.visible .entry k(.param .u64 k_0, .param .u64 k_1, .param .u32 k_2)
.maxntid 1024
{
	.reg .pred %p<9>;
	.reg .b16 %rs<17>;
	.reg .b32 %r<65>;
	.reg .f32 %f<33>;
	.reg .b64 %rd<33>;
	.reg .f64 %fd<17>;
	` + declarations + `
	ld.param.u64 %rd1, [k_0];
	ld.param.u64 %rd2, [k_1];
	ld.param.u32 %r3, [k_2];
	mov.u32 %r1, %tid.x;
	mov.u32 %r2, %ctaid.x;
	shl.b32 %r4, %r1, 2;
	cvt.u64.u32 %rd5, %r4;
	add.s64 %rd3, %rd1, %rd5;
	add.s64 %rd4, %rd2, %rd5;
` + body + `
	ret;
}
`)
}

const (
	toBytes   = 8192
	fromBytes = 4096
)

// A trial is one run of a program.
type trial struct {
	options ptxsim.Options
	grid    int // 0: 1
	threads int // 0: 32
	shared  int
	n       int
	from    []byte // of fromBytes; nil: zeros
}

// run runs a program and returns what it wrote.
func (t trial) run(tb testing.TB, ptx []byte) ([]byte, *ptxsim.Device, error) {
	tb.Helper()
	m, err := ptxsim.Parse(ptx)
	if err != nil {
		tb.Fatalf("%v\n%s", err, ptx)
	}
	k, err := m.Kernel("k")
	if err != nil {
		tb.Fatal(err)
	}
	d := ptxsim.NewDevice(t.options)
	to, from := d.Alloc("to", toBytes), d.Alloc("from", fromBytes)
	data := make([]byte, fromBytes)
	copy(data, t.from)
	if err := d.Write(from, data); err != nil {
		tb.Fatal(err)
	}
	err = d.Launch(ptxsim.Launch{
		Kernel: k, Grid: [3]int{max(t.grid, 1), 1, 1}, Block: [3]int{max(t.threads, 1), 1, 1}, Shared: t.shared,
		Args: []ptxsim.Arg{ptxsim.Ptr(to), ptxsim.Ptr(from), ptxsim.I32(t.n)},
	})
	out := make([]byte, toBytes)
	if err := d.Read(out, to); err != nil {
		tb.Fatal(err)
	}
	return out, d, err
}

// kinds are those of the findings in err, in order.
func kinds(err error) (list []ptxsim.Kind) {
	var f *ptxsim.Finding
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			list = append(list, kinds(e)...)
		}
	} else if errors.As(err, &f) {
		list = append(list, f.Kind)
	}
	return list
}

func sprint(format string, args ...any) string { return fmt.Sprintf(format, args...) }
