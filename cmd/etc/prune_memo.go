package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"sync"

	"etc/executor/cpu"
	"etc/executor/cpu/kernel"
	"etc/memo"
	"etc/prune"
)

// memoBase names what statistics and everything measured with them depend on,
// besides the program: the checkpoint, the calibration rows and what computes.
func (r *pruning) memoBase() (string, error) {
	source, err := r.ckpt.Digest()
	if err != nil {
		return "", err
	}
	return ask("calibrated", hex.EncodeToString(source[:]), r.sample.digest(), cpu.Target, kernel.Best().String()).String(), nil
}

// memoLimit bounds the memo, in bytes: statistics of a model of 12 layers and
// width 768 take half a GiB.
const memoLimit = 4 << 30

// openMemo opens the answers of prunings in the cache folder, and drops what was
// not used for longest where they are too large. nil where there is no cache.
func openMemo() *memo.Memo {
	if _, err := ownDigest(); err != nil || cacheFolder() == "" {
		return nil
	}
	m := memo.Open(filepath.Join(cacheFolder(), "prune"))
	m.Trim(memoLimit)
	return m
}

// ownDigest is that of the running program's file: other code may have other
// answers, even of the same version.
var ownDigest = sync.OnceValues(func() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", err
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return hex.EncodeToString(h.Sum(nil)), err
})

// ask makes a question to this program of its parts.
func ask(parts ...string) memo.Question {
	own, _ := ownDigest() // without, there is no memo to ask
	return memo.Ask(append([]string{own}, parts...)...)
}

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
func (r *pruning) knownStatistics(q memo.Question, find func() (*prune.Statistics, error)) (stats *prune.Statistics, err error) {
	known := r.memo.Load(q, func(from io.Reader, size int64) error {
		stats, err = prune.ReadStatistics(bufio.NewReaderSize(from, 1<<20), size)
		return err
	})
	if known {
		return stats, nil
	}
	if stats, err = find(); err != nil {
		return nil, err
	}
	r.memo.Store(q, func(to io.Writer) error {
		w := bufio.NewWriterSize(to, 1<<20)
		if err := stats.Write(w); err != nil {
			return err
		}
		return w.Flush()
	})
	return stats, nil
}

// recall is prune.Recall for this model and these calibration rows.
func (r *pruning) recall(text string, answer any, find func() error) error {
	return r.memo.Recall(ask("pruned", r.base, r.executed(), r.guarded, text), answer, find)
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
	return ask("rows", string(text), asked).String(), nil
}
