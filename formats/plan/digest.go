package plan

import (
	"crypto/sha256"
	"runtime"
	"sync/atomic"

	"etc/fault"
	"etc/formats/mapped"
)

// chunkSize is the part of a section that one digest covers, so that all
// threads can share one section.
const chunkSize = 1 << 20

// digests returns the digest of each section: the SHA-256 over the SHA-256s
// of its chunks. The chunks of all sections are shared out among all threads.
func digests(sections [][]byte) ([][sha256.Size]byte, error) {
	var chunks [][]byte
	for _, s := range sections {
		for from := 0; from < len(s); from += chunkSize {
			chunks = append(chunks, s[from:min(len(s), from+chunkSize)])
		}
	}
	sums := make([]byte, len(chunks)*sha256.Size)
	var next atomic.Int64
	work := func() error {
		// A mapped file may shrink; each goroutine needs its own guard.
		return mapped.Guard(func() error {
			for i := int(next.Add(1)) - 1; i < len(chunks); i = int(next.Add(1)) - 1 {
				sum := sha256.Sum256(chunks[i])
				copy(sums[i*sha256.Size:], sum[:])
			}
			return nil
		})
	}
	if err := onAllThreads(work, len(chunks)); err != nil {
		return nil, err
	}
	out := make([][sha256.Size]byte, len(sections))
	for i, s := range sections {
		n := (len(s) + chunkSize - 1) / chunkSize * sha256.Size
		out[i] = sha256.Sum256(sums[:n])
		sums = sums[n:]
	}
	return out, nil
}

// spreadFrom is the number of chunks from which more threads are worth their
// start; a plan without large weights has one for each section.
const spreadFrom = sectionCount + 1

func onAllThreads(work func() error, chunks int) error {
	var others []*fault.Task
	if chunks >= spreadFrom {
		for range runtime.GOMAXPROCS(0) - 1 {
			others = append(others, fault.Go(work))
		}
	}
	err := work()
	for _, t := range others {
		if e := t.Wait(); err == nil {
			err = e
		}
	}
	return err
}
