// What main.cu needs besides its kernels: memory on the device, the weights in
// it, and the comparison of an answer.

#pragma once

#include <cuda_runtime.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <vector>

static void check(cudaError_t e, const char* what) {
  if (e == cudaSuccess) return;
  fprintf(stderr, "%s: %s\n", what, cudaGetErrorString(e));
  exit(1);
}

// ---- memory ----

// A piece of device memory: where its address goes, its size, its name.
struct Piece { char** at; size_t bytes; const char* name; };

// Every byte is 0xff at first: a value that is read before it is written is
// not a number, and shows.
static void allocate(const Piece& p) {
  check(cudaMalloc((void**)p.at, p.bytes), p.name);
  check(cudaMemset(*p.at, 0xff, p.bytes), p.name);
}

// Fills pieces from a file that holds them one after another.
static void read_pieces(const char* path, const Piece* pieces, size_t count) {
  FILE* f = fopen(path, "rb");
  if (!f) { perror(path); exit(1); }
  std::vector<char> content;
  for (const Piece* p = pieces; p < pieces + count; p++) {
    content.resize(p->bytes);
    if (fread(content.data(), 1, p->bytes, f) != p->bytes) { fprintf(stderr, "%s ends in %s\n", path, p->name); exit(1); }
    check(cudaMemcpy(*p->at, content.data(), p->bytes, cudaMemcpyHostToDevice), p->name);
  }
  fclose(f);
}

// Writes numbers at byte `at` of a block.
static void put(std::vector<char>& block, size_t at, std::initializer_list<int> numbers) {
  memcpy(&block[at], numbers.begin(), numbers.size() * sizeof(int));
}

// ---- answers ----

enum Type { F32, F16, BF16 };

static size_t size_of(Type t) { return t == F32 ? 4 : 2; }

static float f16_number(uint16_t bits) {
  const int exponent = bits >> 10 & 31;
  const float fraction = (bits & 1023) / 1024.0f;
  float size = ldexpf(1 + fraction, exponent - 15);
  if (exponent == 0) size = ldexpf(fraction, -14);
  if (exponent == 31) size = fraction ? NAN : INFINITY;
  return bits >> 15 ? -size : size;
}

static float number(const char* p, Type type) {
  uint32_t wide = 0;
  uint16_t narrow;
  memcpy(&narrow, p, 2);
  if (type == F16) return f16_number(narrow);
  if (type == BF16) wide = (uint32_t)narrow << 16;
  else memcpy(&wide, p, 4);
  float f;
  memcpy(&f, &wide, 4);
  return f;
}

// An answer on the device: rows of `width` numbers, `stride` bytes apart.
struct Answer { const char* name; const char* at; size_t rows, width, stride; Type type; };

// Reports whether every number is within `allowed` of what the CPU gave.
static bool compare(const Answer& a, const float* want, double allowed) {
  std::vector<char> got(a.rows * a.stride);
  check(cudaMemcpy(got.data(), a.at, got.size(), cudaMemcpyDeviceToHost), a.name);
  double worst = 0;
  size_t wrong = 0;
  for (size_t i = 0; i < a.rows * a.width; i++) {
    const double off = fabs(number(&got[i / a.width * a.stride + i % a.width * size_of(a.type)], a.type) - want[i]);
    if (off > worst) worst = off;
    if (!(off <= allowed)) wrong++;  // what is not a number is wrong
  }
  printf("%s: off by at most %g, %g allowed; %zu of %zu numbers wrong\n", a.name, worst, allowed, wrong, a.rows * a.width);
  return wrong == 0;
}
