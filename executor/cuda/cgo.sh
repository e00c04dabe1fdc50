#!/usr/bin/env bash
# Runs a command, such as go build -tags cuda, with cgo and the headers of CUDA
# 12: those of CUDA_HOME where it is set, else of NVIDIA's wheel on PyPI, which
# is fetched once into out/ (it holds no driver, and nothing of it is linked).
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
wheel='nvidia-cuda-runtime-cu12==12.9.79'
digest=25bba2dfb01d48a9b59ca474a1ac43c6ebf7011f1b0b8cc44f54eb6ac48a96c3

fetch() {
  dir=$(mktemp -d "$root/out/cuda-headers.XXXXXX")
  trap 'rm -rf "$dir"' EXIT
  echo "$wheel --hash=sha256:$digest" > "$dir/wanted"
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --platform manylinux2014_x86_64 \
    --require-hashes --requirement "$dir/wanted" --dest "$dir" >&2
  python3 -m zipfile -e "$dir"/*.whl "$dir/files"
  rm -rf "$1"
  mv "$dir/files" "$1"
}

if [ -n "${CUDA_HOME:-}" ]; then
  include=$CUDA_HOME/include
else
  include=$root/out/cuda-headers/nvidia/cuda_runtime/include
  mkdir -p "$root/out"
  [ -f "$include/cuda.h" ] || (fetch "$root/out/cuda-headers")
fi
grep -q '^#define CUDA_VERSION 12' "$include/cuda.h" || { echo "$include/cuda.h: not that of CUDA 12, which gorgonia.org/cu needs" >&2; exit 1; }

export CGO_ENABLED=1 CGO_CFLAGS="-O2 -I$include"
exec "$@"
