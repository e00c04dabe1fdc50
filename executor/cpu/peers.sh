#!/bin/bash
# Measures etc beside OpenVINO and ONNX Runtime, interleaved in one run, and the
# peak of fused multiply-adds between; see docs/performance.md.
#
#   executor/cpu/peers.sh [minilm|bert-base|answers]...     from the root of the checkout
#
# SHAPES, THREADS, ROUNDS, SECONDS_EACH, RUNS and ENGINES change what is measured. The
# peers' Python environment is made in out/peers when it is missing (6 GB).
set -euo pipefail
SHARED=${SHARED:-../shared}
SHAPES=${SHAPES:-1x16,1x32,1x128,1x384,8x32,8x128,32x128}
THREADS=${THREADS:-2} ROUNDS=${ROUNDS:-5} SECONDS_EACH=${SECONDS_EACH:-1} RUNS=${RUNS:-3}
ENGINES=${ENGINES:-ov-f32,ort-f32,ort-int8}
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

# plans compiles a model for each line of the comparison: dense in float32, int16 and
# int8, and with half of its 16×16 tiles zero, for speed only.
plans() {
  local folder=$1 model=$2
  for t in f32 int16 int8; do bin/etc compile "$folder" -o $OUT/$model-$t.etp --target cpu:$t --force --quiet; done
  bin/etc prune "$folder" -o $OUT/$model-tiles --method tiles:magnitude --sparsity 0.5 --force --quiet
  bin/etc compile $OUT/$model-tiles -o $OUT/$model-tiles.etp --target cpu:f32 --force --quiet
}

measure() {
  local model=$1 name=$1 folder plan run mine=()
  folder=$(checkpoint "$model")
  [ "$model" = minilm ] && name=$folder
  plans "$folder" "$model"
  for plan in f32 int16 int8 tiles; do
    mine+=(--etc "$plan=executor/cpu/peers.sh --record $OUT/$model.records $plan bin/etc bench $OUT/$model-$plan.etp --device cpu --quiet --seconds $SECONDS_EACH")
  done
  echo "$model, $(uname -m) $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1), load $(cut -d' ' -f1 /proc/loadavg)"
  rm -f $OUT/$model.*.json $OUT/$model.*.records
  for run in $(seq "$RUNS"); do
    rm -f $OUT/$model.records
    $PYTHON "$SHARED/bench/cpu_peers.py" --model "$name" --shapes "$SHAPES" --threads "$THREADS" --rounds "$ROUNDS" --seconds "$SECONDS_EACH" \
      --engines "$ENGINES" -o $OUT/$model.$run.json "${mine[@]}"
    mv $OUT/$model.records $OUT/$model.$run.records
  done
  $PYTHON executor/cpu/peers.py $model $OUT/$model.*.json
}

# answers compares what users wait for: lines of text to labels.
answers() {
  local t plans=()
  for t in f32 int16 int8; do
    bin/etc compile "$SHARED/models/minilm-sst2" -o $OUT/sst2-$t.etp --target cpu:$t --force --quiet
    plans+=("$t=$OUT/sst2-$t.etp")
  done
  THREADS=$THREADS $PYTHON executor/cpu/answers.py "$SHARED/models/minilm-sst2" testdata/sst2-dev.tsv bin/etc "${plans[@]}"
}

# --record FILE PLAN COMMAND... appends what the command prints to a file, behind the
# plan's name.
if [ "${1:-}" = --record ]; then
  file=$2 plan=$3; shift 3
  record=$("$@")
  printf '%s %s\n' "$plan" "$(tr -d '\n' <<<"$record")" >>"$file"
  printf '%s\n' "$record"
  exit
fi

mkdir -p $OUT
environment
for what in "${@:-minilm}"; do
  case $what in
    answers) answers ;;
    *) measure "$what" ;;
  esac
done
