package emit

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"etc/executor/gpu"
	"etc/formats/plan/launch"
)

// main is main.cu: kernels, memory, batch, launches, answers.
func (w *writer) main() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `// %s, compiled for %s by etc %s.
//
// One row of %d ids goes through the model: allocate and fill memory, launch the
// kernels in order, compare the answer with the CPU's. Each launch stands under
// the operator of the graph that it computes; graph.ir has the whole graph.
// ./build.sh builds it. Run it as ./main in this folder: exit 0 says that all
// answers are the CPU's.

#include "support.cuh"
`, comment(w.Program.Model.Architecture), w.Program.Target, comment(w.Version), len(w.Row))
	w.declarations(&b)
	w.memory(&b)
	w.batch(&b)
	w.launches(&b)
	w.answers(&b)
	return b.Bytes()
}

// declarations name the kernels. A pointer is passed alike whatever it points
// to, and an extern "C" name does not depend on it.
func (w *writer) declarations(b *bytes.Buffer) {
	b.WriteString("\n// ---- kernels ----\n\n// Each is in the file of its name, which says what the pointers point to.\n")
	for _, k := range w.kernels {
		var list []string
		for _, p := range k.Params() {
			list = append(list, parameterTypes[p.Kind]+" "+p.Name)
		}
		fmt.Fprintf(b, "extern \"C\" __global__ void %s(%s);\n", k.Entry(), strings.Join(list, ", "))
	}
}

var parameterTypes = map[launch.ParamKind]string{launch.Pointer: "void*", launch.Int: "int", launch.Float: "float"}

// memory declares what is allocated: weights in the order of weights.bin, then
// what kernels write.
func (w *writer) memory(b *bytes.Buffer) {
	b.WriteString("\n// ---- memory ----\n\n")
	for _, name := range w.names {
		fmt.Fprintf(b, "static char* %s;\n", name)
	}
	w.pieces(b, "weights", "Weights, in the order of weights.bin.", true)
	w.pieces(b, "others", "What the batch and the results of kernels are written to.", false)
}

func (w *writer) pieces(b *bytes.Buffer, table, doc string, weights bool) {
	fmt.Fprintf(b, "\n// %s\nstatic const Piece %s[] = {\n", doc, table)
	for i, m := range w.Recording.Allocations {
		if (len(m.Data) > 0) == weights {
			fmt.Fprintf(b, "  {&%s, %d, %s},\n", w.names[i], m.Bytes, cString(m.Name))
		}
	}
	b.WriteString("};\n")
}

// batch writes the block that kernels read sizes, ids and offsets from, part
// by part. The parts begin where a kernel's argument points.
func (w *writer) batch(b *bytes.Buffer) {
	block := w.Recording.Work.Upload[0]
	parts := w.batchParts()
	fmt.Fprintf(b, "\n// ---- the batch ----\n\n// 32-bit numbers: how many tokens and rows there are, and blocks of 16 and of 64\n// queries; then lists, with zeros between and behind them.\nstatic void upload_batch() {\n  std::vector<char> block(%d);\n", len(block.Host))
	starts := slices.Sorted(maps.Keys(parts))
	for i, at := range starts {
		end := len(block.Host)
		if i+1 < len(starts) {
			end = starts[i+1]
		}
		fmt.Fprintf(b, "  put(block, %d, {%s}); // %s\n", at, numbers(block.Host[at:end]), parts[at])
	}
	fmt.Fprintf(b, "  check(cudaMemcpy(%s, block.data(), block.size(), cudaMemcpyHostToDevice), \"batch\");\n}\n", w.address(block.Device))
}

// sizesEnd is where the sizes end that a batch begins with.
const sizesEnd = 16

// batchParts names the parts of the batch by the parameters that point there.
func (w *writer) batchParts() map[int]string {
	block := w.Recording.Work.Upload[0]
	parts := map[int]string{0: "tokens, rows, blocks of 16 queries, blocks of 64"}
	for _, op := range w.Recording.Operations {
		k := w.kernel(op)
		if k == nil {
			continue
		}
		for i, p := range k.Params() {
			at := int64(op.Args[i].Bits) - int64(block.Device)
			if p.Kind == launch.Pointer && at >= sizesEnd && at < int64(len(block.Host)) {
				parts[int(at)] = p.Name
			}
		}
	}
	return parts
}

// numbers are the 32-bit numbers of m up to the last that is not zero.
func numbers(m []byte) string {
	var list []string
	last := 0
	for i := 0; i+4 <= len(m); i += 4 {
		v := int32(binary.LittleEndian.Uint32(m[i:]))
		list = append(list, fmt.Sprint(v))
		if v != 0 {
			last = len(list)
		}
	}
	return strings.Join(list[:last], ", ")
}

// launches are the operations in order, each under the operator of the graph.
func (w *writer) launches(b *bytes.Buffer) {
	b.WriteString("\n// ---- launches ----\n\nstatic void run() {\n")
	for _, k := range w.kernels {
		if k.Shared > 48<<10 { // more than a launch may ask for unprepared
			fmt.Fprintf(b, "  check(cudaFuncSetAttribute(%s, cudaFuncAttributeMaxDynamicSharedMemorySize, %d), \"%[1]s\");\n", k.Entry(), k.Shared)
		}
	}
	operators := w.operators()
	step := -1
	for _, op := range w.Recording.Operations {
		b.WriteByte('\n')
		if op.Step != step {
			fmt.Fprintf(b, "  // %s\n", comment(operators[op.Step]))
			step = op.Step
		}
		w.operation(b, op)
	}
	b.WriteString("\n  check(cudaDeviceSynchronize(), \"run\");\n}\n")
}

// operators are the lines of the graph that steps come from, by step.
func (w *writer) operators() []string {
	var lines []string
	for line := range strings.Lines(w.Program.Graph) {
		_, what, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " = ")
		if ok && strings.HasPrefix(line, "%") && !strings.HasPrefix(what, "weight ") && !strings.HasPrefix(what, "input ") {
			lines = append(lines, strings.TrimSuffix(line, "\n"))
		}
	}
	if len(lines) != len(w.Program.Steps) {
		panic(fmt.Sprintf("bug: emit: %d steps of a graph of %d operators", len(w.Program.Steps), len(lines)))
	}
	return lines
}

func (w *writer) operation(b *bytes.Buffer, op gpu.Operation) {
	k := w.kernel(op)
	if k == nil {
		fmt.Fprintf(b, "  check(cudaMemcpyAsync(%s, %s, %d, cudaMemcpyDeviceToDevice), %s);\n", w.address(op.To), w.address(op.From), op.Bytes, cString(op.Label))
		return
	}
	fmt.Fprintf(b, "  %s<<<dim3(%d, %d, %d), %d, %d>>>(", k.Entry(), op.Grid[0], op.Grid[1], op.Grid[2], op.Threads, op.Shared)
	for i, p := range k.Params() {
		switch {
		case i == 0:
			b.WriteString("\n      ")
		case p.Kind != launch.Pointer && k.Params()[i-1].Kind == launch.Pointer:
			b.WriteString(",\n      ")
		default:
			b.WriteString(", ")
		}
		b.WriteString(w.argument(p, op.Args[i]))
	}
	fmt.Fprintf(b, ");\n  check(cudaGetLastError(), %s);\n", cString(op.Label))
}

// argument is one argument of a launch after the name of its parameter.
func (w *writer) argument(p launch.Param, a gpu.Arg) string {
	text := fmt.Sprint(int32(a.Bits))
	switch p.Kind {
	case launch.Pointer:
		text = w.address(gpu.Address(a.Bits))
	case launch.Float:
		text = floatText(math.Float32frombits(uint32(a.Bits)))
	}
	return fmt.Sprintf("/*%s*/ %s", p.Name, text)
}

// address is a place in device memory as main.cu writes it.
func (w *writer) address(a gpu.Address) string {
	if a == 0 {
		return "nullptr"
	}
	i, offset, ok := w.Recording.Find(a)
	switch {
	case !ok:
		panic(fmt.Sprintf("bug: emit: address %#x is in no allocation", uint64(a)))
	case offset == 0:
		return w.names[i]
	}
	return fmt.Sprintf("%s + %d", w.names[i], offset)
}

// answers are compared value by value.
func (w *writer) answers(b *bytes.Buffer) {
	b.WriteString("\n// ---- answers ----\n")
	for i, a := range w.Answers {
		fmt.Fprintf(b, "\n// %s, as the CPU computed it in float32.\nstatic const float answer%d[] = {", comment(a.Name), i)
		for j, v := range a.Values {
			if j%8 == 0 {
				b.WriteString("\n ")
			}
			fmt.Fprintf(b, " %s,", floatText(v))
		}
		b.WriteString("\n};\n")
	}
	b.WriteString(`
int main() {
  for (const Piece& p : weights) allocate(p);
  for (const Piece& p : others) allocate(p);
  read_pieces("weights.bin", weights, sizeof weights / sizeof *weights);
  upload_batch();
  run();
  bool good = true;
`)
	for i, a := range w.Answers {
		from := w.Recording.Work.Download[a.Download]
		fmt.Fprintf(b, "  good &= compare({%s, %s, %d, %d, %d, %s}, answer%d, %g);\n",
			cString(a.Name), w.address(from.Device), len(a.Values)/a.Width, a.Width, a.Stride, strings.ToUpper(a.DType.String()), i, a.Tolerance)
	}
	b.WriteString("  puts(good ? \"all answers are the CPU's\" : \"answers differ\");\n  return good ? 0 : 1;\n}\n")
}
