package compiler

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"etc/fault"
)

// smallestBucket is the first bucket of the default list.
const smallestBucket = 32

// DefaultBuckets are powers of two from 32 below the longest row, then that.
func DefaultBuckets(maxTokens int) []int {
	var buckets []int
	for s := smallestBucket; s < maxTokens; s *= 2 {
		buckets = append(buckets, s)
	}
	return append(buckets, maxTokens)
}

// ParseBuckets reads a list such as 32,64,128 or ranges first-last*factor and
// first-last+step, which end with last. The result ascends.
func ParseBuckets(list string) ([]int, error) {
	var buckets []int
	for item := range strings.SplitSeq(list, ",") {
		expanded, ok := parseRange(strings.TrimSpace(item))
		if !ok {
			return nil, fault.Newf(fault.Usage, "sequence length buckets %q: %q is neither a length nor a range", list, item).
				WithHint("want 32,64,128 or 32-512*2 or auto:rows.jsonl")
		}
		buckets = append(buckets, expanded...)
	}
	slices.Sort(buckets)
	return slices.Compact(buckets), nil
}

// maxBuckets bounds how many lengths a plan may tell apart.
const maxBuckets = 256

func parseRange(item string) ([]int, bool) {
	first, rest, isRange := strings.Cut(item, "-")
	from, ok := parseLength(first)
	if !ok || !isRange {
		return []int{from}, ok
	}
	at := strings.IndexAny(rest, "*+")
	if at < 0 {
		return nil, false
	}
	to, ok1 := parseLength(rest[:at])
	by, ok2 := parseLength(rest[at+1:])
	if !ok1 || !ok2 || to < from {
		return nil, false
	}
	var list []int
	for s := from; s < to; {
		if list = append(list, s); len(list) > maxBuckets { // so does a factor of 1
			return nil, false
		}
		if rest[at] == '*' {
			s *= by
		} else {
			s += by
		}
	}
	return append(list, to), true
}

// maxLength bounds a bucket, so that no product with it overflows.
const maxLength = 1 << 20

func parseLength(s string) (int, bool) {
	n, err := strconv.ParseUint(s, 10, 32) // no sign
	return int(n), err == nil && n >= 1 && n <= maxLength
}

// autoQuantiles are the shares of rows that fit the buckets chosen from data.
var autoQuantiles = []float64{0.25, 0.5, 0.75, 0.9, 0.99}

// AutoBuckets chooses buckets from the lengths of rows in tokens: quantiles
// rounded up to 16, then the longest row the model takes, so that no row of
// another file is refused.
func AutoBuckets(lengths []int, maxTokens int) []int {
	sorted := slices.Clone(lengths)
	slices.Sort(sorted)
	var buckets []int
	for _, q := range autoQuantiles {
		if len(sorted) > 0 {
			n := sorted[int(math.Ceil(q*float64(len(sorted))))-1]
			buckets = append(buckets, min(max(1, (n+15)/16)*16, maxTokens))
		}
	}
	buckets = append(buckets, maxTokens)
	return slices.Compact(buckets)
}
