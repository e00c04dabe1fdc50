package emit

import (
	"bytes"
	"fmt"
	"strings"

	"etc/formats/plan"
	"etc/formats/plan/launch"
)

// main is main.cu: memory, weights, launches, comparison.
func (w *writer) main() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, mainHead, w.Program.Model.Architecture, w.Program.Target, w.Version)
	for _, k := range w.kernels() {
		fmt.Fprintf(&b, "extern \"C\" __global__ void %s(%s);\n", k.Entry(), declaration(k.Params()))
	}
	w.memory(&b)
	w.batch(&b)
	w.launches(&b)
	w.answers(&b)
	b.WriteString(mainTail)
	return b.Bytes()
}

const mainHead = `// %s compiled for %s by etc %s: one row of 16 ids, from weights.bin to the
// answer, which is compared with the CPU's. Build with ./build.sh, run ./main.

#include <cuda_runtime.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

static void check(cudaError_t e, const char* what) {
  if (e == cudaSuccess) return;
  fprintf(stderr, "%%s: %%s\n", what, cudaGetErrorString(e));
  exit(1);
}

enum Type { F32, F16, BF16 };

static float number(const char* p, Type type) {
  uint32_t bits;
  if (type == F32) {
    memcpy(&bits, p, 4);
  } else {
    uint16_t half;
    memcpy(&half, p, 2);
    bits = (uint32_t)half << 16;
    if (type == F16) {
      const int exponent = half >> 10 & 31;
      const float fraction = (half & 1023) / 1024.0f;
      const float size = exponent == 0 ? ldexpf(fraction, -14) : exponent == 31 ? (fraction ? NAN : INFINITY) : ldexpf(1 + fraction, exponent - 15);
      return half >> 15 ? -size : size;
    }
  }
  float f;
  memcpy(&f, &bits, 4);
  return f;
}

// Compares rows of width numbers, stride bytes apart on the device.
static bool compare(const char* name, const float* want, size_t rows, size_t width, size_t stride, const char* device, Type type, double tolerance) {
  std::vector<char> got(rows * stride);
  check(cudaMemcpy(got.data(), device, got.size(), cudaMemcpyDeviceToHost), name);
  double worst = 0;
  for (size_t r = 0; r < rows; r++)
    for (size_t c = 0; c < width; c++) {
      const double off = fabs(number(&got[r * stride + c * (type == F32 ? 4 : 2)], type) - want[r * width + c]);
      if (!(off <= worst)) worst = off;  // catches what is not a number
    }
  printf("%%s: off by at most %%g, %%g allowed\n", name, worst, tolerance);
  return worst <= tolerance;
}

// The kernels, each in a file of its own. Pointers are untyped here: what they
// point to is said there.
`

// declaration is a parameter list. A pointer is passed alike whatever it
// points to, and an extern "C" name does not depend on it.
func declaration(params []launch.Param) string {
	var list []string
	for _, p := range params {
		switch p.Kind {
		case launch.Pointer:
			list = append(list, "void* "+p.Name)
		case launch.Float:
			list = append(list, "float "+p.Name)
		default:
			list = append(list, "int "+p.Name)
		}
	}
	return strings.Join(list, ", ")
}

// memory allocates, and reads the weights.
func (w *writer) memory(b *bytes.Buffer) {
	b.WriteString("\n// Device memory: name, bytes, and whether weights.bin fills it.\nstruct Memory { const char* name; size_t bytes; bool weights; };\nstatic const Memory memories[] = {\n")
	for i, m := range w.Recording.Allocations {
		fmt.Fprintf(b, "  {%s, %d, %t},  // %d\n", cString(m.Name), m.Bytes, m.Data != nil, i)
	}
	fmt.Fprintf(b, "};\nstatic char* memory[%d];\n", len(w.Recording.Allocations))
	b.WriteString(memoryCode)
}

const memoryCode = `
static void allocate() {
  FILE* f = fopen("weights.bin", "rb");
  if (!f) { perror("weights.bin"); exit(1); }
  std::vector<char> content;
  for (size_t i = 0; i < sizeof memories / sizeof *memories; i++) {
    const Memory& m = memories[i];
    check(cudaMalloc(&memory[i], m.bytes), m.name);
    check(cudaMemset(memory[i], 0xff, m.bytes), m.name);  // what is read before it is written is not a number
    if (!m.weights) continue;
    content.resize(m.bytes);
    if (fread(content.data(), 1, m.bytes, f) != m.bytes) { fprintf(stderr, "weights.bin ends in %s\n", m.name); exit(1); }
    check(cudaMemcpy(memory[i], content.data(), m.bytes, cudaMemcpyHostToDevice), m.name);
  }
  fclose(f);
}
`

// batch is the block that kernels read sizes, ids and offsets from.
func (w *writer) batch(b *bytes.Buffer) {
	block := w.Recording.Work.Upload[0]
	fmt.Fprintf(b, "\n// The batch: one row of the ids %v. struct Batch of the kernels, then ids, types,\n// positions, rows, offsets and blocks of queries.\nstatic const uint8_t batch[] = {", w.Row)
	for i, v := range block.Host {
		if i%32 == 0 {
			b.WriteString("\n  ")
		}
		fmt.Fprintf(b, "%d,", v)
	}
	fmt.Fprintf(b, "\n};\n\nstatic void upload() {\n  check(cudaMemcpy(%s, batch, sizeof batch, cudaMemcpyHostToDevice), \"batch\");\n}\n", w.address(block.Device))
}

// launches are the operations in order, each under the operator of the graph.
func (w *writer) launches(b *bytes.Buffer) {
	kernels := map[string]*plan.Kernel{}
	for _, k := range w.kernels() {
		kernels[k.Entry()] = k
	}
	b.WriteString("\nstatic void run() {\n")
	for _, k := range w.kernels() {
		if k.Shared > 48<<10 {
			fmt.Fprintf(b, "  check(cudaFuncSetAttribute(%s, cudaFuncAttributeMaxDynamicSharedMemorySize, %d), \"%s\");\n", k.Entry(), k.Shared, k.Entry())
		}
	}
	for _, op := range w.Recording.Operations {
		fmt.Fprintf(b, "\n  // %s\n", op.Label)
		if op.Function == nil {
			fmt.Fprintf(b, "  check(cudaMemcpyAsync(%s, %s, %d, cudaMemcpyDeviceToDevice), %s);\n", w.address(op.To), w.address(op.From), op.Bytes, cString(op.Label))
			continue
		}
		k := kernels[op.Function.(string)]
		var args []string
		for i, p := range k.Params() {
			args = append(args, w.argument(p, op.Args[i]))
		}
		fmt.Fprintf(b, "  %s<<<dim3(%d, %d, %d), %d, %d>>>(\n      %s);\n", k.Entry(), op.Grid[0], op.Grid[1], op.Grid[2], op.Threads, op.Shared, strings.Join(args, ", "))
		fmt.Fprintf(b, "  check(cudaGetLastError(), %s);\n", cString(op.Label))
	}
	b.WriteString("  check(cudaDeviceSynchronize(), \"run\");\n}\n")
}

// answers are compared value by value.
func (w *writer) answers(b *bytes.Buffer) {
	for i, a := range w.Answers {
		fmt.Fprintf(b, "\n// %s, as the CPU computed it in float32.\nstatic const float answer%d[] = {", a.Name, i)
		for j, v := range a.Values {
			if j%8 == 0 {
				b.WriteString("\n  ")
			}
			fmt.Fprintf(b, "%sf, ", floatText(v))
		}
		b.WriteString("\n};\n")
	}
	b.WriteString("\nint main() {\n  allocate();\n  upload();\n  run();\n  bool good = true;\n")
	for i, a := range w.Answers {
		t := w.Recording.Work.Download[a.Download]
		fmt.Fprintf(b, "  good &= compare(%s, answer%d, %d, %d, %d, %s, %s, %g);\n",
			cString(a.Name), i, len(a.Values)/a.Width, a.Width, a.Stride, w.address(t.Device), strings.ToUpper(a.DType.String()), a.Tolerance)
	}
}

const mainTail = `  puts(good ? "all answers are those of the CPU" : "answers differ");
  return good ? 0 : 1;
}
`

func cString(s string) string { return fmt.Sprintf("%q", s) }
