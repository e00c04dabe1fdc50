package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"io"

	"etc/executor/cpu"
	"etc/executor/cpu/kernel"
	"etc/prune"
)

// memoBase names what statistics and everything measured with them depend on,
// besides the program: the checkpoint, the calibration rows and what computes.
func (r *pruning) memoBase() (string, error) {
	source, err := r.ckpt.Digest()
	if err != nil {
		return "", err
	}
	return r.memo.ask("calibrated", hex.EncodeToString(source[:]), r.sample.digest(), cpu.Target, kernel.Best().String()).String(), nil
}

func (q question) String() string { return hex.EncodeToString(q[:]) }

// digest names the rows of a sample, nil for none.
func (s *sample) digest() string {
	if s == nil {
		return ""
	}
	h := sha256.New()
	number := func(n int) { h.Write(binary.LittleEndian.AppendUint64(nil, uint64(n))) }
	for i := range s.ids {
		for _, list := range [][]int32{s.ids[i], s.types[i]} {
			number(len(list))
			for _, id := range list {
				number(int(id))
			}
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// knownStatistics are those of an earlier run, or find collects them and they
// are kept.
func (r *pruning) knownStatistics(find func() error) error {
	q := r.memo.ask("statistics", r.base)
	known := r.memo.load(q, func(from io.Reader, size int64) error {
		stats, err := prune.ReadStatistics(bufio.NewReaderSize(from, 1<<20), size)
		if err == nil {
			r.stats = stats
		}
		return err
	})
	if known {
		return nil
	}
	if err := find(); err != nil {
		return err
	}
	r.memo.store(q, func(to io.Writer) error {
		w := bufio.NewWriterSize(to, 1<<20)
		if err := r.stats.Write(w); err != nil {
			return err
		}
		return w.Flush()
	})
	return nil
}

// recall is prune.Recall for this model and these calibration rows.
func (r *pruning) recall(text string, answer any, find func() error) error {
	return r.memo.recall(r.memo.ask("pruned", r.base, r.executed(), text), answer, find)
}

// id names the rows of a part and what may be lost on them.
func (r *pruning) id(p *part) (string, error) {
	text, err := json.Marshal(p.data)
	if err != nil {
		return "", err
	}
	asked := ""
	if r.drop != nil {
		asked = r.drop.String()
	}
	return r.memo.ask("rows", string(text), asked).String(), nil
}
