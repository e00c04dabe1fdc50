package checkpoint

// longest is the longest name compared; those of real tensors stay below 150 bytes.
const longest = 256

// nearest is the name with the smallest edit distance to wanted, the first of
// several; "" where each differs in more than half of wanted. The time is
// bounded by len(names) · longest · the distance of the best so far.
func nearest(wanted string, names []string) string {
	if len(wanted) > longest {
		return ""
	}
	best, limit := "", len(wanted)/2
	for _, name := range names {
		if len(name) > longest {
			continue
		}
		if d := distance(wanted, name, limit); d <= limit {
			best, limit = name, d-1
		}
	}
	return best
}

// distance is the Levenshtein distance of a and b, or a number above limit
// where it is above limit.
func distance(a, b string, limit int) int {
	if limit < 0 || len(a)-len(b) > limit || len(b)-len(a) > limit {
		return limit + 1
	}
	// row[j] is the distance of a[:i] to b[:j]. Only |i-j| ≤ limit matters;
	// what lies outside that band counts as limit+1.
	var row [longest + 1]int
	for j := range len(b) + 1 {
		row[j] = min(j, limit+1)
	}
	for i := 1; i <= len(a); i++ {
		from, to := max(1, i-limit), min(len(b), i+limit)
		diagonal := row[from-1]
		row[from-1] = limit + 1
		if from == 1 {
			row[0] = min(i, limit+1)
		}
		least := row[from-1]
		for j := from; j <= to; j++ {
			d := diagonal
			if a[i-1] != b[j-1] {
				d = min(diagonal, row[j], row[j-1]) + 1
			}
			diagonal = row[j]
			row[j] = min(d, limit+1)
			least = min(least, row[j])
		}
		if least > limit {
			return limit + 1
		}
	}
	return row[len(b)]
}
