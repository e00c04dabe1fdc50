#!/bin/bash
# Measures etc beside OpenVINO and ONNX Runtime, interleaved in one run, and the
# peak of fused multiply-adds between; see docs/performance.md.
#
#   executor/cpu/peers.sh [minilm|bert-base]...     from the root of the checkout
#
# SHAPES, THREADS, ROUNDS, SECONDS_EACH and ENGINES change what is measured. The peers'
# Python environment is made in out/peers when it is missing (2 GB).
set -euo pipefail
SHARED=${SHARED:-../shared}
SHAPES=${SHAPES:-1x16,1x32,1x128,1x384,8x32,8x128,32x128}
OUT=out/peers
PYTHON=$OUT/venv/bin/python

environment() {
  [ -e $OUT/venv/done ] && return
  python3 -m venv $OUT/venv
  $OUT/venv/bin/pip install --quiet torch transformers onnx onnxruntime openvino onnxscript
  touch $OUT/venv/done
}

# checkpoint prints the folder of a model. MiniLM is without the limit of 256
# tokens that its sentence transformer sets, which the peers do not know; bert-base
# is made with the weights that cpu_peers.py gives it.
checkpoint() {
  if [ "$1" = minilm ]; then
    mkdir -p $OUT/minilm
    for f in "$SHARED"/models/all-MiniLM-L6-v2/*; do
      [ "${f##*/}" = sentence_bert_config.json ] || ln -sfn "$(realpath "$f")" $OUT/minilm/
    done
    echo $OUT/minilm
    return
  fi
  if [ ! -e $OUT/bert-base/config.json ]; then
    $PYTHON - $OUT/bert-base >&2 <<'MAKE'
import sys, torch, transformers
torch.manual_seed(0)
transformers.BertModel(transformers.BertConfig(), add_pooling_layer=False).save_pretrained(sys.argv[1])
MAKE
  fi
  echo $OUT/bert-base
}

measure() {
  local model=$1 name=$1 folder
  folder=$(checkpoint "$model")
  [ "$model" = minilm ] && name=$folder
  bin/etc compile "$folder" -o $OUT/$model.etp --force --quiet
  rm -f $OUT/$model.records
  echo "$model, $(uname -m) $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1), load $(cut -d' ' -f1 /proc/loadavg)"
  $PYTHON "$SHARED/bench/cpu_peers.py" --model "$name" --shapes "$SHAPES" --threads "${THREADS:-2}" --rounds "${ROUNDS:-5}" --seconds "${SECONDS_EACH:-1}" \
    --engines "${ENGINES:-ov-f32,ort-f32,ort-int8}" -o $OUT/$model.json \
    --etc "f32=executor/cpu/peers.sh --record $OUT/$model.records bin/etc bench $OUT/$model.etp --device cpu --quiet --seconds ${SECONDS_EACH:-1}"
  $PYTHON - $OUT/$model.records <<'PEAK'
import json, statistics, sys
cells = {}
for line in open(sys.argv[1]):
    c = json.loads(line)["results"][0]
    cells.setdefault((c["batch"], c["seqlen"]), []).append(c)
every = [c["peak_gflops"] for v in cells.values() for c in v]
best = max(c["peak_best_gflops"] for v in cells.values() for c in v)
steady = statistics.median(every) / best
print(f"FMA peak: median {statistics.median(every):.0f} GFLOP/s, {100 * steady:.0f} % of the best; a run below 90 % does not count")
for (b, s), v in cells.items():
    print(f"{b}x{s}: f32 at {100 * statistics.median(c['gflops'] / c['peak_gflops'] for c in v):.0f} % of the peak beside it")
PEAK
}

# --record FILE COMMAND... appends what the command prints to a file.
if [ "${1:-}" = --record ]; then
  file=$2; shift 2
  "$@" | tee -a "$file"
  exit
fi

mkdir -p $OUT
environment
for model in "${@:-minilm}"; do measure "$model"; done
