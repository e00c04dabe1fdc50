package layout

import (
	"encoding/binary"
	"math"

	"etc/fault"
)

// IntPanels is a dense matrix W [N,K] in integers, one unit for each output
// feature: W[i] ≈ Units[i]·q[i]. Blocks(N) panels of Width output features
// hold Steps(K) steps of Width lanes of four bytes: of panel p, step s, lane j
// and place i in the lane q[p·Width+j][s·StepInputs+i] is integer
// ((p·Steps+s)·Width+j)·StepInputs+i of Values. Features past N and inputs past K are 0.
//
// The bytes are the units of the panels' features, float32, then Values.
type IntPanels struct {
	Type   Int
	N, K   int
	Units  []float32
	Values []byte
}

const (
	unitBytes = Width * elemSize  // of a panel
	lineBytes = Width * stepBytes // of a step of a panel
)

// IntPanelBytes is the size of a packed [n,k] matrix of t; MaxInt if that is no size.
func IntPanelBytes(t Int, n, k int) int {
	values := product(Blocks(n), t.Steps(k), lineBytes)
	if values > math.MaxInt-Blocks(n)*unitBytes {
		return math.MaxInt
	}
	return Blocks(n)*unitBytes + values
}

// PackIntPanels quantises w [n,k], row-major, by rows and lays it out.
func PackIntPanels(t Int, w []float32, n, k int) []byte {
	if len(w) != n*k {
		panic("bug: PackIntPanels: sizes do not agree")
	}
	b := make([]byte, IntPanelBytes(t, n, k))
	values := b[Blocks(n)*unitBytes:]
	q := make([]int16, k)
	for i := range n {
		putFloat(b, i, t.Quantise(q, w[i*k:(i+1)*k]))
		panel := values[i/Width*t.Steps(k)*lineBytes:]
		for c, v := range q {
			t.Put(panel[c/t.StepInputs()*lineBytes:], i%Width*t.StepInputs()+c%t.StepInputs(), v)
		}
	}
	return b
}

// Put writes integer i of b.
func (t Int) Put(b []byte, i int, v int16) {
	if t == Int8 {
		b[i] = byte(int8(v))
		return
	}
	binary.LittleEndian.PutUint16(b[2*i:], uint16(v))
}

// At is integer i of b.
func (t Int) At(b []byte, i int) int16 {
	if t == Int8 {
		return int16(int8(b[i]))
	}
	return int16(binary.LittleEndian.Uint16(b[2*i:]))
}

// CheckIntPanels views b as panels of an [n,k] matrix of t.
func CheckIntPanels(t Int, n, k int, b []byte) (IntPanels, error) {
	const what = "integer panel"
	if err := checkInts(what, t, n, k); err != nil {
		return IntPanels{}, err
	}
	if err := checkSize(what, n, k, len(b), IntPanelBytes(t, n, k)); err != nil {
		return IntPanels{}, err
	}
	if err := checkAlign(what, b, elemSize); err != nil {
		return IntPanels{}, err
	}
	w := IntPanels{t, n, k, floats(b[:Blocks(n)*unitBytes]), b[Blocks(n)*unitBytes:]}
	if err := checkUnits(what, n, w.Units); err != nil {
		return IntPanels{}, err
	}
	if err := w.checkPadding(); err != nil {
		return IntPanels{}, err
	}
	return w, nil
}

// checkInts checks the shape of a matrix of integers.
func checkInts(what string, t Int, n, k int) error {
	if t != Int8 && t != Int16 {
		return fault.Newf(fault.Corrupt, "%s weight: integers of %d bytes", what, t)
	}
	if t == Int8 && k > Most8Inputs {
		return fault.Newf(fault.Corrupt, "%s weight: %d inputs, int8 takes at most %d", what, k, Most8Inputs)
	}
	return checkDims(what, n, k)
}

// checkUnits insists on finite numbers from 0 on, and on +0 past n.
func checkUnits(what string, n int, units []float32) error {
	for i, u := range units {
		b := math.Float32bits(u)
		if b >= infinityBits || i >= n && b != 0 {
			return fault.Newf(fault.Corrupt, "%s weight: unit of feature %d of %d is %v", what, i, n, u)
		}
	}
	return nil
}

// checkPadding insists that features past N and inputs past K are 0.
func (w IntPanels) checkPadding() error {
	per := w.Type.StepInputs()
	for p := range Blocks(w.N) {
		features := min(Width, w.N-p*Width)
		panel := w.Panel(p)
		first := 0 // step that may have padding
		if features == Width {
			first = w.K / per
		}
		for s := first; s < w.Type.Steps(w.K); s++ {
			for i := range Width * per {
				if (i/per >= features || s*per+i%per >= w.K) && w.Type.At(panel[s*lineBytes:], i) != 0 {
					return fault.Newf(fault.Corrupt, "integer panel weight [%d %d]: padding at step %d of panel %d is not zero", w.N, w.K, s, p)
				}
			}
		}
	}
	return nil
}

// Panel is panel p: Steps(K) steps of 64 bytes.
func (w IntPanels) Panel(p int) []byte {
	size := w.Type.Steps(w.K) * lineBytes
	return w.Values[p*size : (p+1)*size]
}

// Unpack is the integers of W [N,K], row-major.
func (w IntPanels) Unpack() []int16 {
	d := make([]int16, w.N*w.K)
	per := w.Type.StepInputs()
	for i := range w.N {
		for c := range w.K {
			d[i*w.K+c] = w.Type.At(w.Panel(i / Width)[c/per*lineBytes:], i%Width*per+c%per)
		}
	}
	return d
}
