package linalg

// AddGram is H += XᵀX for x [n,k], h [k,k]. It reads the lower triangle of h and
// leaves h symmetric.
func AddGram(h, x Matrix) { machine().addGram(h, x) }

func (e engine) addGram(h, x Matrix) {
	x.want("X", x.Rows, x.Cols)
	h.want("H", x.Cols, x.Cols)
	v := x.view()
	e.addLower(h.view(), 1, v.transpose(), v)
	e.mirror(h)
}

// mirrored is the rows of a task: a block of so many rows and columns fits the
// second-level cache twice.
const mirrored = 64

// mirror copies the lower triangle of h to the upper one.
func (e engine) mirror(h Matrix) {
	strips := panels(h.Rows, mirrored)
	e.sized(h.Rows, h.Rows, 1).each(strips, func(task int) {
		top := (strips - 1 - task) * mirrored
		for left := 0; left <= top; left += mirrored {
			mirrorBlock(h, top, left)
		}
	})
}

func mirrorBlock(h Matrix, top, left int) {
	for i := top; i < min(top+mirrored, h.Rows); i++ {
		to := left*h.Stride + i
		for _, x := range h.Row(i)[left:min(left+mirrored, i)] {
			h.Data[to] = x
			to += h.Stride
		}
	}
}
