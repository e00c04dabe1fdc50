#!/usr/bin/env bash
# Builds ./main, which runs one row on a GPU and compares with the CPU's answer.
# Needs nvcc 12 or 13, from PATH or NVCC. The code is for sm_90 and, through
# PTX, later GPUs; ARCH=sm_90 ./build.sh builds for another.
set -euo pipefail
cd "$(dirname "$0")"
"${NVCC:-nvcc}" -std=c++17 -O3 -arch="${ARCH:-sm_90}" -diag-suppress 128,177 --threads 0 -o main main.cu \
  embed.cu \
  linear_bk64_bm128_bn128_out321_stages3_wm64_wn64.cu
