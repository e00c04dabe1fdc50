package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"etc/codegen/cuda"
	"etc/compiler"
	"etc/compiler/frontend/frontendtest"
	"etc/executor/ptxsim"
	"etc/formats/checkpoint"
	"etc/formats/plan"
)

// TestEmittedProgram: main.cu, read statement by statement and run in the
// simulator with the plan's PTX, finds the CPU's answers; with another weight
// it does not.
func TestEmittedProgram(t *testing.T) {
	c := simCompiler(t)
	rng := rand.New(rand.NewPCG(1, 15))
	sizes := frontendtest.Options{Layers: 2, Heads: 2, HeadSize: 24, Inner: 50}
	tiny, err := checkpoint.Open(tinyModel)
	if err != nil {
		t.Fatal(err)
	}
	defer tiny.Close()
	for name, m := range map[string]struct {
		ckpt   *checkpoint.Checkpoint
		target string
	}{
		"tiny-sst2": {tiny, "sm_80:f16"},
		"language":  {randomCheckpoint(t, rng, "GPT2LMHeadModel", sizes), "sm_80:f16"},
		"bf16":      {randomCheckpoint(t, rng, "BertModel", sizes), "sm_80:bf16"},
	} {
		t.Run(name, func(t *testing.T) { checkEmitted(t, emitted(t, m.ckpt, m.target, c)) })
	}
}

// TestModelsEmittedProgram is that of the shared models.
func TestModelsEmittedProgram(t *testing.T) {
	c := simCompiler(t)
	for _, name := range []string{"gpt2-wikitext", "transformer-lm-wikitext"} {
		t.Run(name, func(t *testing.T) {
			ckpt, err := checkpoint.Open(filepath.Join(shared, "models", name))
			if err != nil {
				t.Fatal(err)
			}
			defer ckpt.Close()
			checkEmitted(t, emitted(t, ckpt, "sm_80:f16", c))
		})
	}
}

// emitted compiles a checkpoint and has it written as CUDA.
func emitted(t *testing.T, ckpt *checkpoint.Checkpoint, target string, c cuda.Compiler) *emittedProgram {
	t.Helper()
	o := compiler.Options{Targets: []string{target}, Buckets: []int{20, 100}, NVRTC: c}
	r, err := compiler.Compile(ckpt, o)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "cuda")
	p := &program{out: &latch{w: io.Discard}, err: io.Discard}
	if err := p.emitCUDA(dir, ckpt, r.Plan, o); err != nil {
		t.Fatal(err)
	}
	e := &emittedProgram{plan: r.Plan}
	for name, content := range map[string]*string{"main.cu": &e.text, "weights.bin": &e.weights} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		*content = string(b)
	}
	return e
}

func checkEmitted(t *testing.T, e *emittedProgram) {
	t.Helper()
	worst, err := e.run()
	if err != nil {
		t.Fatal(err)
	}
	if !(worst <= 1) || worst == 0 {
		t.Errorf("off by %v of what is allowed\n%s", worst, e.text)
	}
	t.Logf("off by %.2g of what is allowed", worst)
	changed := *e
	changed.weights = strings.Repeat("\x00", len(e.weights))
	if worst, err := changed.run(); err != nil || worst <= 1 {
		t.Errorf("with weights that are zero: off by %v of what is allowed, %v", worst, err)
	}
}

// An emittedProgram is what --emit-cuda wrote, and what a run of it knows.
type emittedProgram struct {
	text, weights string
	plan          *plan.Plan
	device        *ptxsim.Device
	memory        map[string]uint64
}

// Statements of main.cu.
var (
	pieceStatement   = regexp.MustCompile(`(?m)^  \{&(\w+), (\d+), "`)
	putStatement     = regexp.MustCompile(`(?m)^  put\(block, (\d+), \{(.*)\}\);`)
	blockStatement   = regexp.MustCompile(`std::vector<char> block\((\d+)\);`)
	uploadStatement  = regexp.MustCompile(`cudaMemcpy\((\w+), block\.data\(\), block\.size\(\), cudaMemcpyHostToDevice\)`)
	launchStatement  = regexp.MustCompile(`(?m)^  (\w+)<<<dim3\((\d+), (\d+), (\d+)\), (\d+), (\d+)>>>\(\n(.*)\n(.*)\);$`)
	argument         = regexp.MustCompile(`/\*(\w+)\*/ ([^,]+)`)
	answerStatement  = regexp.MustCompile(`(?s)static const float answer\d+\[\] = \{(.*?)\n\};`)
	compareStatement = regexp.MustCompile(`(?m)^  good &= compare\(\{"\w+", ([^,]+), (\d+), (\d+), (\d+), (\w+)\}, answer(\d+), (.*)\);$`)
)

// run does what main.cu says and returns how far the worst value is off, as a
// share of what is allowed.
func (e *emittedProgram) run() (worst float64, err error) {
	e.device, e.memory = ptxsim.NewDevice(ptxsim.Options{Workers: 2}), map[string]uint64{}
	if err := e.allocate(); err != nil {
		return 0, err
	}
	block := make([]byte, atoi(blockStatement.FindStringSubmatch(e.text)[1]))
	for _, m := range putStatement.FindAllStringSubmatch(e.text, -1) {
		for i, word := range strings.FieldsFunc(m[2], func(r rune) bool { return r == ',' || r == ' ' }) {
			binary.LittleEndian.PutUint32(block[atoi(m[1])+4*i:], uint32(atoi(word)))
		}
	}
	if err := e.device.Write(e.memory[uploadStatement.FindStringSubmatch(e.text)[1]], block); err != nil {
		return 0, err
	}
	launches := launchStatement.FindAllStringSubmatch(e.text, -1)
	if n := strings.Count(e.text, "<<<"); n != len(launches) || n == 0 {
		return 0, fmt.Errorf("%d launches, of which %d are read", n, len(launches))
	}
	for _, m := range launches {
		if err := e.launch(m); err != nil {
			return 0, fmt.Errorf("%s: %w", m[0], err)
		}
	}
	return e.compare()
}

// allocate makes the pieces, and fills those of weights.bin.
func (e *emittedProgram) allocate() error {
	weights, _, _ := strings.Cut(e.text, "static const Piece others[]")
	rest := e.weights
	for _, m := range pieceStatement.FindAllStringSubmatchIndex(e.text, -1) {
		name, size := e.text[m[2]:m[3]], atoi(e.text[m[4]:m[5]])
		e.memory[name] = e.device.Alloc(name, size)
		if m[0] > len(weights) {
			continue
		}
		if size > len(rest) {
			return fmt.Errorf("weights.bin ends in %s", name)
		}
		if err := e.device.Write(e.memory[name], []byte(rest[:size])); err != nil {
			return err
		}
		rest = rest[size:]
	}
	if rest != "" {
		return fmt.Errorf("weights.bin has %d bytes too many", len(rest))
	}
	return nil
}

// launch runs one statement: entry, grid, threads, shared memory, pointers, values.
func (e *emittedProgram) launch(m []string) error {
	kernel, err := e.kernel(m[1])
	if err != nil {
		return err
	}
	l := ptxsim.Launch{Kernel: kernel, Grid: [3]int{atoi(m[2]), atoi(m[3]), atoi(m[4])}, Block: [3]int{atoi(m[5]), 1, 1}, Shared: atoi(m[6])}
	for _, a := range argument.FindAllStringSubmatch(m[7]+" "+m[8], -1) {
		text := strings.TrimSpace(a[2])
		if number, ok := strings.CutSuffix(text, "f"); ok && strings.ContainsAny(text[:1], "-0123456789") {
			f, err := strconv.ParseFloat(number, 32)
			if err != nil {
				return err
			}
			l.Args = append(l.Args, ptxsim.F32(float32(f)))
		} else if n, err := strconv.Atoi(text); err == nil {
			l.Args = append(l.Args, ptxsim.I32(n))
		} else {
			l.Args = append(l.Args, ptxsim.Ptr(e.address(text)))
		}
	}
	return e.device.Launch(l)
}

// kernel is that of the plan's PTX.
func (e *emittedProgram) kernel(entry string) (*ptxsim.Kernel, error) {
	for _, k := range e.plan.Kernels {
		if k.Entry() != entry {
			continue
		}
		for _, image := range k.Images {
			if image.PTX {
				m, err := ptxsim.Parse(e.plan.Code[image.Code.Offset : image.Code.Offset+image.Code.Size])
				if err != nil {
					return nil, err
				}
				return m.Kernel(entry)
			}
		}
	}
	return nil, fmt.Errorf("the plan has no PTX of %s", entry)
}

// address is what an expression such as "batch + 256" points to.
func (e *emittedProgram) address(text string) uint64 {
	if text == "nullptr" {
		return 0
	}
	name, offset, found := strings.Cut(text, " + ")
	base, ok := e.memory[name]
	if !ok {
		panic(fmt.Sprintf("main.cu names %q, which it does not allocate", text))
	}
	if found {
		base += uint64(atoi(offset))
	}
	return base
}

func (e *emittedProgram) compare() (worst float64, err error) {
	answers := answerStatement.FindAllStringSubmatch(e.text, -1)
	compared := compareStatement.FindAllStringSubmatch(e.text, -1)
	if len(compared) == 0 || len(compared) != len(answers) {
		return 0, fmt.Errorf("%d answers, %d compared", len(answers), len(compared))
	}
	for _, m := range compared {
		rows, width, stride := atoi(m[2]), atoi(m[3]), atoi(m[4])
		allowed, err := strconv.ParseFloat(m[7], 64)
		if err != nil {
			return 0, err
		}
		want := strings.Fields(answers[atoi(m[6])][1])
		if len(want) != rows*width {
			return 0, fmt.Errorf("%d values of %d rows of %d", len(want), rows, width)
		}
		got := make([]byte, rows*stride)
		if err := e.device.Read(got, e.address(m[1])); err != nil {
			return 0, err
		}
		for i, word := range want {
			w, err := strconv.ParseFloat(strings.TrimSuffix(word, "f,"), 32)
			if err != nil {
				return 0, err
			}
			if m[5] != "F32" {
				return 0, fmt.Errorf("an answer in %s", m[5])
			}
			v := math.Float32frombits(binary.LittleEndian.Uint32(got[i/width*stride+i%width*4:]))
			if off := math.Abs(float64(v)-w) / allowed; !(off <= worst) {
				worst = off
				if off != off {
					return math.Inf(1), nil
				}
			}
		}
	}
	return worst, nil
}

func atoi(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(err)
	}
	return n
}
