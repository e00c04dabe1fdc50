#!/usr/bin/env bash
# Fills out/gpu with all that check.sh needs on a machine with a card and no Go:
# etc-cuda, the kernels' cases with their PTX, plans, rows, emitted CUDA. Needs
# bin/etc, bin/etc-cuda and NVRTC (make build nvrtc cuda).
set -euo pipefail
cd "$(dirname "$0")/../.."
to=out/gpu
rm -rf "$to"
mkdir -p "$to/kernels/testdata" "$to/plans"
cp bin/etc-cuda executor/cuda/check.sh executor/cuda/compare.py "$to/"
executor/cuda/cgo.sh go test -c -tags cuda -o "$to/kernels/kernels.test" ./codegen/cuda/kernels
cp -r codegen/cuda/kernels/testdata/ptx "$to/kernels/testdata/"
cut -f1 testdata/sst2-dev.tsv > "$to/sst2.txt"
head -n 40 "$to/sst2.txt" > "$to/few.txt"

# Plans hold the GPU programs only, so that all of it travels (64 MiB); what the
# CPU answers is computed here.
pack() { # pack MODEL NAME FLAGS...
  bin/etc compile "$1" -o "$to/plans/$2.etp" --target sm_80,sm_90 --quiet "${@:3}"
  bin/etc compile "$1" -o "$to/cpu.etp" --quiet --force
  bin/etc run "$to/cpu.etp" --input "$to/sst2.txt" --truncate --quiet -o "$to/plans/$2.cpu.jsonl"
  rm "$to/cpu.etp"
}
pack testdata/tiny-sst2 tiny-sst2 --emit-cuda "$to/emitted"
for name in gpt2-wikitext transformer-lm-wikitext; do
  [ -d "../shared/models/$name" ] || { echo "no ../shared/models/$name: left out"; continue; }
  pack "../shared/models/$name" "$name"
done
du -sh "$to"
