package plan

import (
	"bytes"
	"encoding/binary"
	"math"
	"reflect"
	"testing"

	"etc/fault"
)

// checkRefusal fails where a file is neither read nor refused as it should be.
func checkRefusal(t *testing.T, err error) {
	if kind := fault.KindOf(err); kind != fault.Corrupt && kind != fault.Unfit {
		t.Fatalf("error of kind %d: %v", kind, err)
	}
}

// FuzzDecode reads any bytes, as they are and with digests repaired.
func FuzzDecode(f *testing.F) {
	file := Encode(mini())
	f.Add(file)
	f.Add(Encode(miniFor("cpu:int8")))
	f.Add(file[:pageSize])
	f.Add(file[:2*pageSize])
	f.Add([]byte(magic))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, file := range [][]byte{b, repaired(bytes.Clone(b))} {
			p, err := Decode(file)
			if err != nil {
				checkRefusal(t, err)
				continue
			}
			if !bytes.Equal(Encode(p), file) {
				t.Fatal("what was read is written otherwise")
			}
			if err := walkAll(p); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// FuzzSections reads any bytes as sections of a file with right digests, of
// every minor version.
func FuzzSections(f *testing.F) {
	p := mini()
	f.Add(written(0, p.walkModel), written(0, p.walkGraphs), p.Data, written(0, p.Provenance.walk), p.Code)
	p = miniFor("cpu:int16")
	f.Add(written(0, p.walkModel), written(0, p.walkGraphs), p.Data, written(0, p.Provenance.walk), p.Code)
	p = mixed()
	f.Add(written(0, p.walkModel), written(0, p.walkGraphs), p.Data, written(0, p.Provenance.walk), p.Code)
	p = miniPadded()
	f.Add(written(paddingMinor, p.walkModel), written(paddingMinor, p.walkGraphs), p.Data, written(paddingMinor, p.Provenance.walk), p.Code)
	f.Add([]byte{}, []byte{}, []byte{}, []byte{}, []byte{})
	f.Fuzz(func(t *testing.T, model, graphs, weights, provenance, code []byte) {
		for minor := range uint16(Minor + 1) {
			var file bytes.Buffer
			if err := writeSections(&file, WriteOptions{minor: minor}, [][]byte{model, graphs, nil, weights, provenance, code}); err != nil {
				t.Fatal(err)
			}
			p, err := Decode(file.Bytes())
			if err != nil {
				checkRefusal(t, err)
				continue
			}
			if !bytes.Equal(Encode(p), file.Bytes()) {
				t.Fatal("what was read is written otherwise")
			}
			if err := walkAll(p); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// FuzzForged changes fields of a valid plan, writes it with right digests and
// reads it back. Four bytes of the script make one change: a field, or a byte
// of weights or code, and what to do to it. What is not refused must be safe to run.
func FuzzForged(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0, 0, 1, 0})
	f.Add([]byte{30, 2, 3, 4, 7, 1, 2, 0})
	padded := func() *Plan {
		p := mixed()
		p.Model.Padding = []int{3}
		return p
	}
	for field := range len(fields(padded())) {
		if field%4 != 0 { // seeds run in every test
			continue
		}
		f.Add([]byte{byte(field), byte(field >> 8), byte(field % 12), 1})
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		p := padded()
		for ; len(script) >= 4; script = script[4:] {
			where, how, by := int(binary.LittleEndian.Uint16(script)), script[2], script[3]
			switch how >> 6 {
			case 2:
				p.Data[where%len(p.Data)] ^= by
				continue
			case 3:
				p.Code[where%len(p.Code)] ^= by
				continue
			}
			all := fields(p)
			change(all[where%len(all)], how, by)
		}
		read, err := Decode(Encode(p))
		if err != nil {
			checkRefusal(t, err)
			return
		}
		if err := walkAll(read); err != nil {
			t.Fatal(err)
		}
	})
}

// fields lists every number, text and list of p but its bytes.
func fields(p *Plan) []reflect.Value {
	var all []reflect.Value
	var visit func(reflect.Value)
	visit = func(v reflect.Value) {
		switch v.Kind() {
		case reflect.Pointer:
			if v.Type() != reflect.TypeFor[*Plan]() { // a program's plan
				visit(v.Elem())
			}
		case reflect.Struct:
			for i := range v.NumField() {
				visit(v.Field(i))
			}
		case reflect.Slice:
			if v.Type().Elem().Kind() == reflect.Uint8 {
				return
			}
			all = append(all, v)
			for i := range v.Len() {
				visit(v.Index(i))
			}
		case reflect.Array:
		default:
			all = append(all, v)
		}
	}
	visit(reflect.ValueOf(p).Elem())
	return all
}

// numbers are those that sizes, indices and offsets go wrong at.
var numbers = []int64{0, 1, -1, -2, 2, 64, -64, 1 << 16, 1 << 31, 1 << 32, math.MaxInt64, math.MinInt64}

// change changes one field: a number is moved or replaced, of a list one item
// is dropped, repeated or exchanged.
func change(v reflect.Value, how, by byte) {
	n := numbers[int(by)%len(numbers)]
	if how&1 == 1 {
		n = int64(int8(by))
	}
	switch v.Kind() {
	case reflect.Int, reflect.Int64:
		if how&2 == 2 {
			n += v.Int()
		}
		if how&4 == 4 {
			n = v.Int() + 64*n // stays a multiple of 64
		}
		v.SetInt(n)
	case reflect.Uint8, reflect.Uint64:
		if how&2 == 2 {
			n += int64(v.Uint())
		}
		if v.Kind() == reflect.Uint8 {
			n &= 15
		}
		v.SetUint(uint64(n))
	case reflect.Float64:
		v.SetFloat(math.Float64frombits(uint64(n) << (by % 64)))
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.String:
		v.SetString(v.String() + string([]byte{by}))
	case reflect.Slice:
		changeList(v, how, by)
	}
}

func changeList(v reflect.Value, how, by byte) {
	if v.Len() == 0 {
		return
	}
	i := int(by) % v.Len()
	switch how % 3 {
	case 0:
		v.Set(reflect.AppendSlice(v.Slice3(0, i, i), v.Slice(i+1, v.Len())))
	case 1:
		v.Set(reflect.Append(v, v.Index(i)))
	case 2:
		j := int(how/3) % v.Len()
		a, b := v.Index(i).Interface(), v.Index(j).Interface()
		v.Index(i).Set(reflect.ValueOf(b))
		v.Index(j).Set(reflect.ValueOf(a))
	}
}
