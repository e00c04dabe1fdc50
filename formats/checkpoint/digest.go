package checkpoint

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"

	"etc/ir/tensor"
)

// Digest is the identity of what a compiler can read here: config.json, the
// tokenizer's files, what the pooling files say, and each tensor's name,
// dtype, shape and bytes. Paths, the division into shards and the order in
// files do not enter.
//
// It is the SHA-256 over the items, each as: length of its label and label,
// number of bytes, and the SHA-256 over the SHA-256s of its bytes in chunks of
// 1 MiB (numbers as 8 bytes, little-endian). First come the files in a fixed
// order, absent ones left out, then the tensors by name.
func (c *Checkpoint) Digest() ([sha256.Size]byte, error) {
	labels, items := c.digestItems()
	chunks := chunksOf(items)
	sums := make([][sha256.Size]byte, len(chunks))
	err := parallel(len(chunks), func(i int) error {
		sums[i] = sha256.Sum256(chunks[i].data)
		return nil
	})
	if err != nil {
		return [sha256.Size]byte{}, err
	}
	whole := sha256.New()
	next := 0
	for i, item := range items {
		parts := sha256.New()
		for ; next < len(chunks) && chunks[next].tensor == i; next++ {
			parts.Write(sums[next][:])
		}
		whole.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(labels[i]))))
		whole.Write([]byte(labels[i]))
		whole.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(item.Data))))
		whole.Write(parts.Sum(nil))
	}
	return [sha256.Size]byte(whole.Sum(nil)), nil
}

// digestItems lists what is hashed. A file goes as a tensor of its bytes.
func (c *Checkpoint) digestItems() (labels []string, items []tensor.Tensor) {
	file := func(name string, data []byte) {
		if data != nil {
			labels = append(labels, "file "+name)
			items = append(items, tensor.Tensor{DType: tensor.U8, Shape: []int{len(data)}, Data: data})
		}
	}
	file(configFile, c.Config.raw)
	for _, f := range tokenizerFiles(&c.Tokenizer) {
		file(f.name, *f.data)
	}
	if p := c.Pooling; p != nil {
		file("pooling", fmt.Appendf(nil, "%s %t %d %t", p.Mode, p.Normalize, p.MaxSeqLength, p.LowerCase))
	}
	for _, name := range slices.Sorted(slices.Values(c.names)) {
		t, _ := c.Tensor(name)
		labels = append(labels, fmt.Sprintf("tensor %s %s %v", name, t.DType.Code(), t.Shape))
		items = append(items, t)
	}
	return labels, items
}
