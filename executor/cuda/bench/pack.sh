#!/usr/bin/env bash
# Fills out/gpu-bench with all that bench.sh needs on a machine with a card, a
# Python with PyTorch and no Go: etc-cuda, the helper that calls NVRTC, what
# makes a BERT_BASE, the lengths of SST-2's rows. Needs bin/etc, bin/etc-cuda and
# bin/etc-nvrtc (make build nvrtc cuda).
set -euo pipefail
cd "$(dirname "$0")/../../.."
to=out/gpu-bench
rm -rf "$to"
mkdir -p "$to/lengths"
cp bin/etc-cuda bin/etc-nvrtc executor/cuda/bench/bench.sh executor/cuda/bench/*.py "$to/"
CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o "$to/etc-bert" ./cmd/etc-bert

# Whole batches of 128 rows, as ids of BERT's own vocabulary where there is one.
tokenizer=../shared/models/all-MiniLM-L6-v2
[ -d "$tokenizer" ] || tokenizer=testdata/tiny-sst2
cut -f1 testdata/sst2-dev.tsv | bin/etc tokenize "$tokenizer" | sed 's/,"type_ids".*/}/' |
  split -l 128 -d --additional-suffix=.jsonl - "$to/lengths/"
for f in "$to"/lengths/*; do
  [ "$(wc -l < "$f")" -eq 128 ] || rm "$f"
done
du -sh "$to"
