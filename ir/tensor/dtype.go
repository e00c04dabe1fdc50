// Package tensor holds typed arrays in row-major order and the conversions
// between their element types. It imports nothing of etc.
package tensor

import "fmt"

// A DType is the type of one element.
type DType uint8

const (
	Invalid DType = iota
	F64
	F32
	F16
	BF16
	I64
	I32
	I16
	I8
	U8
	Bool
	U16
	U32
	U64
)

// dtypes is indexed by DType. The code is the safetensors spelling.
var dtypes = [...]struct {
	name, code string
	size       int
}{
	F64:  {"f64", "F64", 8},
	F32:  {"f32", "F32", 4},
	F16:  {"f16", "F16", 2},
	BF16: {"bf16", "BF16", 2},
	I64:  {"i64", "I64", 8},
	I32:  {"i32", "I32", 4},
	I16:  {"i16", "I16", 2},
	I8:   {"i8", "I8", 1},
	U8:   {"u8", "U8", 1},
	Bool: {"bool", "BOOL", 1},
	U16:  {"u16", "U16", 2},
	U32:  {"u32", "U32", 4},
	U64:  {"u64", "U64", 8},
}

func (d DType) String() string {
	if d == Invalid || int(d) >= len(dtypes) {
		return fmt.Sprintf("dtype(%d)", uint8(d))
	}
	return dtypes[d].name
}

// Code is the spelling in a safetensors header, such as "BF16".
func (d DType) Code() string { return dtypes[d].code }

// Size is the number of bytes of one element.
func (d DType) Size() int { return dtypes[d].size }

// IsFloat reports whether elements are floating-point numbers.
func (d DType) IsFloat() bool { return d >= F64 && d <= BF16 }

// ParseDType is the inverse of String.
func ParseDType(name string) (DType, bool) {
	for d := range dtypes {
		if DType(d) != Invalid && dtypes[d].name == name {
			return DType(d), true
		}
	}
	return Invalid, false
}

// ParseCode is the inverse of Code.
func ParseCode(code string) (DType, bool) {
	for d := range dtypes {
		if DType(d) != Invalid && dtypes[d].code == code {
			return DType(d), true
		}
	}
	return Invalid, false
}
