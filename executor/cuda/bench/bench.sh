#!/usr/bin/env bash
# Measures etc beside PyTorch on a card, from the folder that pack.sh filled:
# ./bench.sh. LIMIT is the most seconds it may take, OUT a folder for all figures
# as JSON, TUNING a table of etc tune. DEVICE=cpu or sim tries the script itself
# on a tiny model, without a card.
set -uo pipefail
cd "$(dirname "$0")"
limit=${LIMIT:-145}
date
if [ "${DEVICE:-cuda}" = cuda ]; then
  nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.sm,clocks.max.sm --format=csv
fi
PYTHONUNBUFFERED=1 LIMIT=$limit timeout --kill-after=5 "$((limit + 10))" "${PYTHON:-python3}" bench.py
