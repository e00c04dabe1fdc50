package sparse

import (
	"fmt"

	"etc/ir/tensor"
)

// Rows returns the listed rows of a matrix, or elements of a vector, in that
// order. Neighbouring rows are a view.
func Rows(t tensor.Tensor, rows []int) tensor.Tensor {
	size := len(t.Data) / max(t.Shape[0], 1)
	shape := append([]int{len(rows)}, t.Shape[1:]...)
	if len(rows) > 0 && neighbours(rows) {
		return tensor.Tensor{DType: t.DType, Shape: shape, Data: t.Data[rows[0]*size : (rows[0]+len(rows))*size]}
	}
	data := make([]byte, 0, len(rows)*size)
	for _, r := range rows {
		data = append(data, t.Data[r*size:(r+1)*size]...)
	}
	return tensor.Tensor{DType: t.DType, Shape: shape, Data: data}
}

func neighbours(list []int) bool {
	for i, r := range list {
		if r != list[0]+i {
			return false
		}
	}
	return true
}

// Columns returns the listed columns of a matrix, in that order.
func Columns(t tensor.Tensor, columns []int) tensor.Tensor {
	n, k, size := t.Shape[0], t.Shape[1], t.DType.Size()
	if len(columns) == k && neighbours(columns) {
		return t
	}
	data := make([]byte, 0, n*len(columns)*size)
	for i := range n {
		row := t.Data[i*k*size : (i+1)*k*size]
		for _, c := range columns {
			data = append(data, row[c*size:(c+1)*size]...)
		}
	}
	return tensor.Tensor{DType: t.DType, Shape: []int{n, len(columns)}, Data: data}
}

// Stack puts matrices of one width, or vectors, under each other. Where their
// dtypes differ the result is F64, which holds each exactly.
func Stack(parts ...tensor.Tensor) tensor.Tensor {
	shape := append([]int{0}, parts[0].Shape[1:]...)
	dtype, bytes := parts[0].DType, 0
	for _, p := range parts {
		if len(p.Shape) != len(shape) || len(shape) == 2 && p.Shape[1] != shape[1] {
			panic(fmt.Sprintf("bug: sparse: cannot stack %v under %v", p, parts[0]))
		}
		if p.DType != dtype {
			dtype = tensor.F64
		}
		shape[0] += p.Shape[0]
		bytes += len(p.Data)
	}
	data := make([]byte, 0, bytes)
	for _, p := range parts {
		data = append(data, p.Convert(dtype).Data...)
	}
	return tensor.Tensor{DType: dtype, Shape: shape, Data: data}
}

// Scale returns the elements of a float tensor times factor, as F64.
func Scale(t tensor.Tensor, factor float64) tensor.Tensor {
	v := t.Float64s()
	for i := range v {
		v[i] *= factor
	}
	return tensor.FromFloat64s(t.Shape, v)
}

// Zeros returns a tensor of +0.
func Zeros(dtype tensor.DType, shape ...int) tensor.Tensor {
	n, ok := tensor.Elements(shape)
	if !ok {
		panic(fmt.Sprintf("bug: sparse: zeros of shape %v", shape))
	}
	return tensor.Tensor{DType: dtype, Shape: shape, Data: make([]byte, n*dtype.Size())}
}
