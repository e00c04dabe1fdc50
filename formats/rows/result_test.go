package rows

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"etc/fault"
)

func TestResultLines(t *testing.T) {
	for _, c := range []struct {
		r    Result
		want string
	}{
		{Result{ID: json.RawMessage(`{"a": 1}`), Line: 3, Logits: []float32{1.877839, -1.31369}, Label: "negative", Score: 0.96, NLL: 1, Vector: []float32{1}},
			`{"id":{"a": 1},"logits":[1.877839,-1.31369],"label":"negative","score":0.96}`},
		{Result{Logits: []float32{0, 1e-20}, Label: "<é\u2028\"\\\n\r\t\x01\x7f\xff>", Probabilities: []float32{0.1, 0.9}},
			`{"logits":[0,1e-20],"label":"<é` + "\u2028" + `\"\\\n\r\t\u0001` + "\x7f\ufffd" + `>","score":0,"probabilities":[0.1,0.9]}`},
		{Result{Task: Embedding, Vector: []float32{float32(math.Copysign(0, -1)), 16777216}},
			`{"embedding":[-0,1.6777216e+07]}`},
		{Result{Task: Embedding, ID: json.RawMessage("null"), Vector: []float32{1, 2}, Hidden: Matrix{[]float32{1, 2, 3, 4, 5, 6}, 2}},
			`{"id":null,"embedding":[1,2],"last_hidden_state":[[1,2],[3,4],[5,6]]}`},
		{Result{Task: CausalLM, NLL: 1133.5, Scored: 255}, `{"nll":1133.5,"scored":255}`},
		{Result{Task: CausalLM, ID: json.RawMessage("1"), TokenLogits: Matrix{[]float32{1, 2}, 1}, LastLogits: []float32{2}},
			`{"id":1,"nll":0,"scored":0,"logits":[[1],[2]],"last_logits":[2]}`},
		{Result{ID: json.RawMessage(`"x"`), Line: 12, Err: errors.New("300 tokens,\nwant \"256\""), Score: float32(math.NaN())},
			`{"id":"x","line":12,"error":"300 tokens,\nwant \"256\""}`},
		{Result{Line: 1, Err: errUTF8}, `{"line":1,"error":"invalid UTF-8, want UTF-8"}`},
	} {
		var out strings.Builder
		w := NewWriter(&out)
		if err := w.Write(&c.r); err != nil {
			t.Fatal(err)
		}
		if out.Len() != 0 {
			t.Error("written before the flush")
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		if out.String() != c.want+"\n" {
			t.Errorf("got  %swant %s", out.String(), c.want)
		}
		if !json.Valid([]byte(out.String())) {
			t.Errorf("not JSON: %s", out.String())
		}
	}
}

func TestNotFiniteIsRefused(t *testing.T) {
	for _, x := range []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))} {
		bad := []float32{1, x}
		for i, r := range []Result{
			{Score: x}, {NLL: x}, {Logits: bad}, {Probabilities: bad}, {Vector: bad},
			{Hidden: Matrix{bad, 1}}, {TokenLogits: Matrix{bad, 1}}, {LastLogits: bad},
		} {
			var out strings.Builder
			w := NewWriter(&out)
			if err := w.Write(&r); fault.KindOf(err) != fault.Corrupt {
				t.Errorf("%v in case %d: %v, want a refusal", x, i, err)
			}
			w.Write(&Result{Task: CausalLM})
			w.Flush()
			if out.String() != "{\"nll\":0,\"scored\":0}\n" {
				t.Errorf("%v in case %d left %q", x, i, out.String())
			}
		}
	}
}

// Any finite float32 is written as JSON that reads back to the same bits, and
// no text with fewer digits does.
func TestFloatsRoundTrip(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	edge := []uint32{0, 1 << 31, 1, 0x007fffff, 0x00800000, 0x7f7fffff, 0xff7fffff, 0x4b800000}
	for i := range 300000 {
		bits := random.Uint32()
		if i < len(edge) {
			bits = edge[i]
		}
		if bits&exponentBits == exponentBits {
			continue
		}
		text := appendFloat32(nil, math.Float32frombits(bits))
		if !json.Valid(text) {
			t.Fatalf("%08x: %s is no JSON", bits, text)
		}
		back, err := strconv.ParseFloat(string(text), 32)
		if err != nil || math.Float32bits(float32(back)) != bits {
			t.Fatalf("%08x: %s reads back to %08x", bits, text, math.Float32bits(float32(back)))
		}
		mantissa, _, _ := bytes.Cut(text, []byte("e"))
		if digits := len(bytes.Trim(bytes.Map(keepDigits, mantissa), "0")); digits > 1 {
			shorter := strconv.FormatFloat(float64(math.Float32frombits(bits)), 'e', digits-2, 64)
			if back, _ := strconv.ParseFloat(shorter, 32); math.Float32bits(float32(back)) == bits {
				t.Fatalf("%08x: %s is longer than %s", bits, text, shorter)
			}
		}
	}
}

func keepDigits(r rune) rune {
	if r < '0' || r > '9' {
		return -1
	}
	return r
}

// Strings written read back the same, whatever they hold.
func TestStringsRoundTrip(t *testing.T) {
	for r := rune(0); r < 0x3000; r++ {
		var back string
		text := appendString(nil, "a"+string(r)+"b")
		if err := json.Unmarshal(text, &back); err != nil || back != "a"+string(r)+"b" {
			t.Fatalf("%U: %s, %v", r, text, err)
		}
	}
}

// A writer that remembers the largest write.
type largest struct{ n, sum int }

func (l *largest) Write(p []byte) (int, error) {
	l.n = max(l.n, len(p))
	l.sum += len(p)
	return len(p), nil
}

func TestWriterHoldsLittle(t *testing.T) {
	const vocabulary, tokens = 1000, 2000
	data := make([]float32, vocabulary*tokens)
	for i := range data {
		data[i] = float32(i) / 7
	}
	var out largest
	w := NewWriter(&out)
	if err := w.Write(&Result{Task: CausalLM, TokenLogits: Matrix{data, vocabulary}}); err != nil {
		t.Fatal(err)
	}
	w.Flush()
	if out.sum < 4*len(data) || out.n > FlushBytes+20*vocabulary {
		t.Errorf("wrote %d bytes, %d at once", out.sum, out.n)
	}
}

func TestWriteDoesNotAllocate(t *testing.T) {
	w := NewWriter(io.Discard)
	r := Result{ID: json.RawMessage("1"), Logits: []float32{1.5, 2.25}, Label: "positive", Score: 0.75, Probabilities: []float32{0.25, 0.75}}
	n := testing.AllocsPerRun(1000, func() {
		w.Write(&r)
		w.Flush()
	})
	if n != 0 {
		t.Errorf("%v allocations a row", n)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

func TestOutputErrorStays(t *testing.T) {
	w := NewWriter(failing{})
	if err := w.Write(&Result{Task: CausalLM}); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != io.ErrShortWrite {
		t.Fatal(err)
	}
	if err := w.Write(&Result{Task: CausalLM}); err != io.ErrShortWrite {
		t.Fatal(err)
	}
}
