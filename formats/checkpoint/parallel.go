package checkpoint

import (
	"runtime"
	"sync/atomic"

	"etc/fault"
	"etc/formats/mapped"
	"etc/ir/tensor"
)

// A chunk is a part of one tensor of a list: what a thread takes at a time.
type chunk struct {
	tensor int // in the list
	offset int // in bytes, a multiple of chunkSize
	data   []byte
}

const chunkSize = 1 << 20

func chunksOf(tensors []tensor.Tensor) []chunk {
	var chunks []chunk
	for i, t := range tensors {
		for at := 0; at < len(t.Data); at += chunkSize {
			chunks = append(chunks, chunk{i, at, t.Data[at:min(at+chunkSize, len(t.Data))]})
		}
	}
	return chunks
}

// parallel calls do for 0 … n-1 on all threads, under mapped.Guard, and
// returns the error of the smallest i that has one. After an error no call is
// begun; those with a smaller i were begun before.
func parallel(n int, do func(i int) error) error {
	var next atomic.Int64
	var failed atomic.Bool
	errs := make([]error, n)
	work := func() error {
		for !failed.Load() {
			i := int(next.Add(1)) - 1
			if i >= n {
				return nil
			}
			if errs[i] = mapped.Guard(func() error { return do(i) }); errs[i] != nil {
				failed.Store(true)
			}
		}
		return nil
	}
	var tasks []*fault.Task
	for range min(runtime.GOMAXPROCS(0), n) {
		tasks = append(tasks, fault.Go(work))
	}
	var crashed error
	for _, t := range tasks {
		if err := t.Wait(); err != nil {
			crashed = err
		}
	}
	if crashed != nil {
		return crashed
	}
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
