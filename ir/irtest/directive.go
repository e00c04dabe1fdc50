package irtest

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"etc/ir"
	"etc/ir/tensor"
)

// obey carries out a directive, a comment line of a graph's text that shapes
// the values of a weight before anything runs:
//
//	# zero rows W 3 5-9      rows, or elements of a vector
//	# zero cols W 0 2
//	# zero tiles W 0,1 2,0   16×16 tiles: block row, block column
//	# zero nm24 W            the two smallest of every four in a row
//	# zero all W
//	# rows W 1 = 0.5         the same words and "= number" set another value
//
// Other comments are left alone: those that neither begin with zero nor begin
// with one of these words and hold " = ".
func obey(g *ir.Graph, comment string) error {
	words := strings.Fields(comment)
	value := 0.0
	switch n := len(words); {
	case n > 0 && words[0] == "zero":
		words = words[1:]
	case n > 2 && words[n-2] == "=" && slices.Contains(units, words[0]):
		x, err := strconv.ParseFloat(words[n-1], 64)
		if err != nil {
			return err
		}
		value, words = x, words[:n-2]
	default:
		return nil
	}
	if len(words) < 2 || !slices.Contains(units, words[0]) {
		return fmt.Errorf("want zero, one of %q, a weight and a list", units)
	}
	for _, op := range g.Ops {
		if op.Kind == ir.Weight && op.Result().WeightName() == words[1] {
			return set(op.Attrs.(*ir.WeightAttrs), words[0], words[2:], value)
		}
	}
	return fmt.Errorf("no weight %q", words[1])
}

var units = []string{"rows", "cols", "tiles", "nm24", "all"}

func set(a *ir.WeightAttrs, unit string, list []string, value float64) error {
	if !a.Data.DType.IsFloat() {
		return fmt.Errorf("weight %q is %v", a.Name, a.Data)
	}
	m := matrixOf(a.Data)
	if (unit == "nm24" || unit == "all") != (len(list) == 0) {
		return fmt.Errorf("%s and the list %q do not fit", unit, list)
	}
	switch unit {
	case "all":
		m.block(0, 0, m.n, m.k, value)
	case "nm24":
		m.twoOfFour(value)
	case "tiles":
		for _, item := range list {
			var i, j int
			if _, err := fmt.Sscanf(item, "%d,%d", &i, &j); err != nil || i < 0 || j < 0 || i*tile >= m.n || j*tile >= m.k {
				return fmt.Errorf("%q is no tile of %v", item, a.Data)
			}
			m.block(i*tile, j*tile, tile, tile, value)
		}
	default:
		limit := m.n
		if unit == "cols" {
			limit = m.k
		}
		numbers, err := ranges(list, limit)
		if err != nil {
			return err
		}
		for _, i := range numbers {
			if unit == "rows" {
				m.block(i, 0, 1, m.k, value)
			} else {
				m.block(0, i, m.n, 1, value)
			}
		}
	}
	a.Data = tensor.FromFloat64s(a.Data.Shape, m.v).Convert(a.Data.DType)
	return nil
}

// ranges reads 3 and 5-9.
func ranges(list []string, limit int) ([]int, error) {
	var numbers []int
	for _, item := range list {
		from, to, ok := strings.Cut(item, "-")
		if !ok {
			to = from
		}
		lo, err1 := strconv.Atoi(from)
		hi, err2 := strconv.Atoi(to)
		if err1 != nil || err2 != nil || lo < 0 || hi < lo || hi >= limit {
			return nil, fmt.Errorf("%q: want numbers below %d, or ranges such as 0-3", item, limit)
		}
		for i := lo; i <= hi; i++ {
			numbers = append(numbers, i)
		}
	}
	return numbers, nil
}

// tile is the side of the tiles that pruning leaves.
const tile = 16

// A matrix is n rows of k; a vector is a matrix of one column.
type matrix struct {
	n, k int
	v    []float64
}

func matrixOf(t tensor.Tensor) matrix {
	m := matrix{1, 1, t.Float64s()}
	if len(t.Shape) > 0 {
		m.n = t.Shape[0]
	}
	if len(t.Shape) > 1 {
		m.k = t.Shape[1]
	}
	return m
}

// block sets the part that lies in m of rows i.. and columns j...
func (m matrix) block(i, j, rows, cols int, value float64) {
	for r := i; r < min(i+rows, m.n); r++ {
		for c := j; c < min(j+cols, m.k); c++ {
			m.v[r*m.k+c] = value
		}
	}
}

// twoOfFour sets the smallest of every four in a row, but for two.
func (m matrix) twoOfFour(value float64) {
	for r := range m.n {
		for group := range slices.Chunk(m.v[r*m.k:(r+1)*m.k], 4) {
			order := []int{0, 1, 2, 3}[:len(group)]
			slices.SortFunc(order, func(i, j int) int { return cmp.Compare(math.Abs(group[i]), math.Abs(group[j])) })
			for _, i := range order[:max(len(order)-2, 0)] {
				group[i] = value
			}
		}
	}
}
