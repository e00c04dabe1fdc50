package layout

import (
	"math"

	"etc/fault"
)

// Panels is a dense matrix W [N,K]: Blocks(N) panels of Width output features,
// each k-major, so Values[(p·K+k)·Width+j] = W[p·Width+j][k]. Features past N
// in the last panel are +0.
type Panels struct {
	N, K   int
	Values []float32
}

// PanelBytes is the size of a packed [n,k] matrix; MaxInt if that is no size.
func PanelBytes(n, k int) int { return product(Blocks(n), k, Width*elemSize) }

// PackPanels writes w [n,k], row-major, to dst, which has PanelBytes(n,k).
func PackPanels(dst []byte, w []float32, n, k int) {
	if len(dst) != PanelBytes(n, k) || len(w) != n*k {
		panic("bug: PackPanels: sizes do not agree")
	}
	clear(dst)
	for i := range n {
		base := i/Width*k*Width + i%Width
		for c, v := range w[i*k : (i+1)*k] {
			putFloat(dst, base+c*Width, v)
		}
	}
}

// CheckPanels views b as panels of an [n,k] matrix.
func CheckPanels(n, k int, b []byte) (Panels, error) {
	const what = "panel"
	if err := checkDims(what, n, k); err != nil {
		return Panels{}, err
	}
	if err := checkSize(what, n, k, len(b), PanelBytes(n, k)); err != nil {
		return Panels{}, err
	}
	if err := checkAlign(what, b, elemSize); err != nil {
		return Panels{}, err
	}
	w := Panels{n, k, floats(b)}
	if err := checkPadding(w); err != nil {
		return Panels{}, err
	}
	return w, nil
}

func checkPadding(w Panels) error {
	if w.N%Width == 0 {
		return nil
	}
	last := w.Values[w.N/Width*w.K*Width:]
	for k := range w.K {
		for j := w.N % Width; j < Width; j++ {
			if math.Float32bits(last[k*Width+j]) != 0 {
				return fault.Newf(fault.Corrupt, "panel weight [%d %d]: padding at input %d is not zero", w.N, w.K, k)
			}
		}
	}
	return nil
}

// Panel is panel p: K rows of Width values.
func (w Panels) Panel(p int) []float32 {
	return w.Values[p*w.K*Width : (p+1)*w.K*Width]
}

// Unpack is W [N,K], row-major.
func (w Panels) Unpack() []float32 {
	d := make([]float32, w.N*w.K)
	for i := range w.N {
		for k := range w.K {
			d[i*w.K+k] = w.Values[(i/Width*w.K+k)*Width+i%Width]
		}
	}
	return d
}
