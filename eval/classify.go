package eval

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"etc/fault"
)

// ClassOf is the number of the class that a data file calls label: by its
// name in labels (id2label of the checkpoint), else by its number.
func ClassOf(labels []string, label string) (int, error) {
	if i := slices.Index(labels, label); i >= 0 {
		return i, nil
	}
	if i, err := strconv.Atoi(label); err == nil && i >= 0 && i < len(labels) {
		return i, nil
	}
	const listed = 10
	names := strings.Join(labels[:min(listed, len(labels))], ", ")
	if len(labels) > listed {
		names += ", …"
	}
	return 0, fault.Newf(fault.Corrupt, "label %.40q, want one of %s, or a number from 0 to %d", label, names, len(labels)-1)
}

// Accuracy is the share of rows whose class is right.
func Accuracy(predicted, want []int) Statistic {
	return Statistic{NameAccuracy, len(want), func(weight []int32) float64 {
		right, all := 0, 0
		for i, w := range weight {
			all += int(w)
			if predicted[i] == want[i] {
				right += int(w)
			}
		}
		return float64(right) / float64(all)
	}}
}

// counts says of each class how many rows have it predicted, wanted, and both.
type counts struct{ predicted, want, both []float64 }

func newCounts(classes int) *counts {
	return &counts{make([]float64, classes), make([]float64, classes), make([]float64, classes)}
}

func (c *counts) fill(predicted, want []int, weight []int32) {
	clear(c.predicted)
	clear(c.want)
	clear(c.both)
	for i, w := range weight {
		c.predicted[predicted[i]] += float64(w)
		c.want[want[i]] += float64(w)
		if predicted[i] == want[i] {
			c.both[want[i]] += float64(w)
		}
	}
}

// F1 is that of class 1 for two classes, and for more the mean over the classes
// that are wanted or predicted anywhere (macro). No such row at all gives 0.
func F1(predicted, want []int, classes int) Statistic {
	c := newCounts(classes)
	return Statistic{NameF1, len(want), func(weight []int32) float64 {
		c.fill(predicted, want, weight)
		if classes == 2 {
			f1, _ := c.f1(1)
			return f1
		}
		sum, met := 0.0, 0.0
		for k := range classes {
			if f1, ok := c.f1(k); ok {
				sum += f1
				met++
			}
		}
		return sum / met
	}}
}

// f1 is 2·both / (predicted + want) of class k; not ok if nobody has it.
func (c *counts) f1(k int) (f1 float64, ok bool) {
	n := c.predicted[k] + c.want[k]
	if n == 0 {
		return 0, false
	}
	return 2 * c.both[k] / n, true
}

// Matthews is the correlation of predicted and wanted classes, 0 where one of
// them is constant. References: Gorodkin, Comparing two K-category assignments
// by a K-category correlation coefficient, Comput. Biol. Chem. 28 (2004).
func Matthews(predicted, want []int, classes int) Statistic {
	c := newCounts(classes)
	return Statistic{NameMatthews, len(want), func(weight []int32) float64 {
		c.fill(predicted, want, weight)
		var all, right, pw, pp, ww float64
		for k := range classes {
			all += c.want[k]
			right += c.both[k]
			pw += c.predicted[k] * c.want[k]
			pp += c.predicted[k] * c.predicted[k]
			ww += c.want[k] * c.want[k]
		}
		square := (all*all - pp) * (all*all - ww)
		if square == 0 {
			return 0
		}
		return (right*all - pw) / math.Sqrt(square)
	}}
}
