package safetensors

import (
	"bytes"
	"encoding/binary"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	lib "github.com/nlpodyssey/safetensors"

	"etc/fault"
	"etc/ir/tensor"
)

// file puts a header before n bytes of data.
func file(header string, n int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	b = append(b, header...)
	for i := range n {
		b = append(b, byte(i))
	}
	return b
}

const (
	one = `"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}`
	two = `"b":{"dtype":"F16","shape":[2,1],"data_offsets":[8,12]}`
)

func TestParse(t *testing.T) {
	for name, data := range map[string][]byte{
		"padded":                   file(`{"__metadata__":{"format":"pt"},`+one+`,`+two+`}    `, 12),
		"header not in data order": file(`{`+two+`,`+one+`}`, 12),
		"white space":              file("{ "+one+" ,\n"+two+" }\n", 12),
		"empty tensors between": file(`{`+one+`,"e":{"dtype":"F32","shape":[0,3],"data_offsets":[8,8]},`+
			`"f":{"dtype":"I64","shape":[0],"data_offsets":[8,8]},`+two+`}`, 12),
	} {
		f, err := Parse(data)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		a, _ := f.Tensor("a")
		b, ok := f.Tensor("b")
		if a.String() != "f32[2]" || b.String() != "f16[2 1]" || !ok {
			t.Errorf("%s: a is %v, b is %v", name, a, b)
		}
		if !bytes.Equal(b.Data, []byte{8, 9, 10, 11}) {
			t.Errorf("%s: b holds %v", name, b.Data)
		}
		if _, ok := f.Tensor("c"); ok {
			t.Errorf("%s: tensor c is there", name)
		}
	}
}

func TestParseKeepsOrderAndMetadata(t *testing.T) {
	f, err := Parse(file(`{`+two+`,"__metadata__":{"z":"1","a":"<&>"},`+one+`}`, 12))
	if err != nil {
		t.Fatal(err)
	}
	if got := f.Names(); !slices.Equal(got, []string{"b", "a"}) {
		t.Errorf("names %v, want those of the header", got)
	}
	if got := f.Metadata(); !maps.Equal(got, map[string]string{"z": "1", "a": "<&>"}) {
		t.Errorf("metadata %v", got)
	}
}

func TestParseEveryDType(t *testing.T) {
	for d := tensor.F64; d <= tensor.U64; d++ {
		var b bytes.Buffer
		want := tensor.Tensor{DType: d, Shape: []int{3}, Data: make([]byte, 3*d.Size())}
		if err := Write(&b, []Named{{"x", want}}, nil); err != nil {
			t.Fatal(err)
		}
		f, err := Parse(b.Bytes())
		if err != nil {
			t.Errorf("%v: %v", d, err)
			continue
		}
		if got, _ := f.Tensor("x"); got.String() != want.String() {
			t.Errorf("%v, want %v", got, want)
		}
	}
}

// damaged are files that must not be read, with a part of the reason. Those
// marked lib are accepted by the library.
var damaged = map[string]struct {
	data []byte
	want string
}{
	"no bytes":                      {nil, "file of 0 bytes"},
	"cut in the length":             {file("{}", 0)[:7], "file of 7 bytes"},
	"header over 100 MB":            {binary.LittleEndian.AppendUint64(nil, maxHeader+1), "header of 100000001 bytes, want at most"},
	"header length 2^64-1":          {bytes.Repeat([]byte{0xff}, 64), "want at most"},
	"header longer than file":       {file(`{`+one+`}`, 8)[:30], "in a file that has 22 left"},
	"header a byte too long":        {file("{}", 0)[:9], "header of 2 bytes in a file that has 1 left"},
	"no header":                     {file("", 0), "want {"},
	"header null (lib)":             {file("null", 0), `header begins with "n"`},
	"header an array":               {file("[]", 0), `header begins with "["`},
	"leading spaces (lib)":          {file(` {`+one+`}`, 8), `header begins with " "`},
	"not JSON":                      {file(`{`+one+`,`, 8), "not JSON"},
	"trailing comma":                {file(`{`+one+`,}`, 8), "not JSON"},
	"bytes after the header":        {file(`{`+one+`}x`, 8), `"x" after its end`},
	"zeros after the header":        {file("{"+one+"}\x00\x00", 8), "after its end"},
	"name twice (lib)":              {file(`{`+one+`,`+one+`}`, 8), `"a" stands there twice`},
	"name twice by escape (lib)":    {file(`{`+one+`,`+strings.Replace(one, `"a"`, `"\u0061"`, 1)+`}`, 8), `"a" stands there twice`},
	"name twice, other dtype (lib)": {file(`{"a":{"dtype":"I32","shape":[2],"data_offsets":[0,8]},`+one+`}`, 8), "twice"},
	"metadata twice (lib)":          {file(`{"__metadata__":{},"__metadata__":{},`+one+`}`, 8), "twice"},
	"key twice in entry (lib)":      {file(`{"a":{"dtype":"I64","dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 8), `"dtype" stands there twice`},
	"key twice in metadata (lib)":   {file(`{"__metadata__":{"k":"1","k":"2"},`+one+`}`, 8), `"k" stands there twice`},
	"metadata null (lib)":           {file(`{"__metadata__":null,`+one+`}`, 8), "__metadata__ is null, want an object"},
	"metadata of numbers":           {file(`{"__metadata__":{"k":1},`+one+`}`, 8), `__metadata__: "k" is 1, want a string`},
	"metadata nested":               {file(`{"__metadata__":{"k":{"l":"m"}},`+one+`}`, 8), "is an object, want a string"},
	"name not UTF-8 (lib)":          {file("{\"a\xff\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8), "not valid UTF-8"},
	"name half a surrogate (lib)":   {file(`{"\ud800":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 8), "surrogate"},
	"entry null":                    {file(`{"a":null}`, 0), "is null, want an object"},
	"entry without shape":           {file(`{"a":{"dtype":"F32","data_offsets":[0,4]}}`, 4), "2 keys, want"},
	"entry with another key":        {file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}}`, 4), "more than 3 keys"},
	"entry with a wrong key":        {file(`{"a":{"dtype":"F32","shape":[1],"offsets":[0,4]}}`, 4), `unknown key "offsets"`},
	"overlap":                       {file(`{`+one+`,"b":{"dtype":"F16","shape":[2],"data_offsets":[6,10]}}`, 10), `tensor "b" begins at byte 6, inside tensor "a"`},
	"same bytes twice":              {file(`{`+one+`,"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 8), `inside tensor "a"`},
	"gap":                           {file(`{`+one+`,"b":{"dtype":"F16","shape":[2],"data_offsets":[10,14]}}`, 14), `begins at byte 10, want 8`},
	"gap at the start":              {file(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}`, 12), "begins at byte 4, want 0, the end of the header"},
	"reversed":                      {file(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}`, 8), "reversed"},
	"out of range":                  {file(`{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}`, 8), "ends at byte 16 of 8"},
	"offset 2^64-4":                 {file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[18446744073709551612,0]}}`, 8), "holds 18446744073709551612"},
	"offset negative":               {file(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[-8,0]}}`, 8), "holds -8, want"},
	"offset with a point":           {file(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8.0]}}`, 8), "holds 8.0, want"},
	"offset a string":               {file(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,"8"]}}`, 8), `holds "8", want`},
	"three offsets":                 {file(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8,8]}}`, 8), "more than 2 values"},
	"one offset":                    {file(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[8]}}`, 8), "1 values, want 2"},
	"misaligned (lib)":              {file(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}}`, 5), `"b": begins at byte 1, want a multiple of 4`},
	"shape too small":               {file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,8]}}`, 8), "is 4 bytes, offsets [0, 8] are 8"},
	"shape negative":                {file(`{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}`, 8), "holds -2, want"},
	"shape null":                    {file(`{"a":{"dtype":"F32","shape":null,"data_offsets":[0,4]}}`, 4), "is null, want an array"},
	"shape product overflows":       {file(`{"a":{"dtype":"F32","shape":[4294967296,4294967297],"data_offsets":[0,4]}}`, 4), "overflows"},
	"bytes overflow to 0":           {file(`{"a":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,0]}}`, 0), "overflows"},
	"dimension 2^64-1 (lib)":        {file(`{"a":{"dtype":"F32","shape":[0,18446744073709551615],"data_offsets":[0,0]}}`, 0), "holds 18446744073709551615"},
	"zero hides overflow (lib)":     {file(`{"a":{"dtype":"F32","shape":[0,4611686018427387904,4611686018427387904],"data_offsets":[0,0]}}`, 0), "overflows"},
	"rank 9 (lib)":                  {file(`{"a":{"dtype":"F32","shape":[1`+strings.Repeat(",1", maxRank)+`],"data_offsets":[0,4]}}`, 4), "shape: more than 8 values"},
	"dtype unknown":                 {file(`{"a":{"dtype":"F8_E4M4","shape":[8],"data_offsets":[0,8]}}`, 8), `"F8_E4M4" is not known`},
	"dtype in lower case":           {file(`{"a":{"dtype":"f32","shape":[2],"data_offsets":[0,8]}}`, 8), `"f32" is not known`},
	"dtype a number":                {file(`{"a":{"dtype":32,"shape":[2],"data_offsets":[0,8]}}`, 8), "is 32, want a string"},
	"truncated":                     {file(`{`+one+`}`, 7), "ends at byte 8 of 7"},
	"trailing bytes":                {file(`{`+one+`}`, 9), `1 bytes after the end of tensor "a"`},
	"data without tensors":          {file(`{}`, 8), "8 bytes after the end of the header"},
	"deep nesting":                  {file(`{"a":`+strings.Repeat("[", 100000), 0), "is an array, want an object"},
}

func TestParseRefusesDamage(t *testing.T) {
	for name, c := range damaged {
		_, err := Parse(c.data)
		if fault.KindOf(err) != fault.Corrupt || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want a corrupt fault with %q", name, err, c.want)
		}
		if err != nil && strings.ContainsAny(err.Error(), "\n\x00") {
			t.Errorf("%s: %q is more than one line", name, err)
		}
		if _, err := lib.Deserialize(c.data); strings.HasSuffix(name, "(lib)") != (err == nil) {
			t.Errorf("%s: the library says %v", name, err)
		}
	}
}

// TestParseOtherDTypes: types of the format that nothing here computes with are
// not supported, which is no damage.
func TestParseOtherDTypes(t *testing.T) {
	for _, code := range strings.Fields("F4 F6_E2M3 F6_E3M2 F8_E5M2 F8_E4M3 F8_E8M0 F8_E4M3FNUZ F8_E5M2FNUZ C64") {
		path := filepath.Join(t.TempDir(), "m.safetensors")
		if err := os.WriteFile(path, file(`{`+one+`,"w":{"dtype":"`+code+`","shape":[8],"data_offsets":[8,16]}}`, 16), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Open(path)
		if want := path + `: tensor "w": dtype ` + code + " is not supported\n"; fault.KindOf(err) != fault.Unsupported || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v", code, err)
		}
	}
}

func TestParseRefusesTooManyTensors(t *testing.T) {
	var b strings.Builder
	for i := range maxEntries + 1 {
		b.WriteString(`,"` + strings.Repeat("x", i%7) + string(rune('a'+i%26)) + `_`)
		b.WriteString(strings.Repeat("y", i%11))
		for v := i; v > 0; v /= 10 {
			b.WriteByte('0' + byte(v%10))
		}
		b.WriteString(`":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}`)
	}
	_, err := Parse(file("{"+b.String()[1:]+"}", 0))
	if err == nil || !strings.Contains(err.Error(), "more than 131072 keys") {
		t.Errorf("Parse = %v", err)
	}
}

func TestOpenNamesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.safetensors")
	if err := os.WriteFile(path, file("null", 0), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); fault.KindOf(err) != fault.Corrupt || !strings.HasPrefix(err.Error(), path+": ") {
		t.Errorf("Open = %v", err)
	}
	if _, err := Open(path + "x"); fault.KindOf(err) != fault.Usage {
		t.Errorf("Open of no file = %v", err)
	}
}

func TestShrunkFileIsCorrupt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.safetensors")
	const n = 1 << 20
	data := file(`{"a":{"dtype":"U8","shape":[1048576],"data_offsets":[0,1048576]}}`, n)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := os.Truncate(path, 8192); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := f.Rewrite(&out, nil); fault.KindOf(err) != fault.Corrupt {
		t.Errorf("Rewrite = %v, want a corrupt fault", err)
	}
}
