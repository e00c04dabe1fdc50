#!/usr/bin/env bash
# Puts NVRTC's libraries into a folder, from NVIDIA's wheel on PyPI, unless
# they are there: cmd/etc-nvrtc/install.sh FOLDER
set -euo pipefail
folder=$1
wheel='nvidia-cuda-nvrtc-cu12==12.9.86'
digest=210cf05005a447e29214e9ce50851e83fc5f4358df8b453155d5e1918094dcb4

[ -f "$folder/libnvrtc.so.12" ] && exit 0
mkdir -p "$(dirname "$folder")"
work=$(mktemp -d "$folder.XXXXXX")
trap 'rm -rf "$work"' EXIT
echo "$wheel --hash=sha256:$digest" > "$work/wanted"
python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --platform manylinux2010_x86_64 --platform manylinux_2_12_x86_64 \
  --require-hashes --requirement "$work/wanted" --dest "$work" >&2
python3 -m zipfile -e "$work"/*.whl "$work/files"
mkdir "$work/lib"
mv "$work"/files/nvidia/cuda_nvrtc/lib/libnvrtc.so.12 "$work"/files/nvidia/cuda_nvrtc/lib/libnvrtc-builtins.so.12.9 "$work/lib/"
rm -rf "$folder"
mv "$work/lib" "$folder"
