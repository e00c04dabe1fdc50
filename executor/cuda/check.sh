#!/usr/bin/env bash
# Checks etc on a card, from the folder that pack.sh filled: ./check.sh. Every
# step is tried; what failed is named at the end. DEVICE=sim ROWS=few.txt tries
# the script itself in the simulator.
set -uo pipefail
cd "$(dirname "$0")"
device=${DEVICE:-cuda}
rows=${ROWS:-sst2.txt}
failed=()

step() { # step NAME COMMAND...
  echo "== $1"
  "${@:2}" || failed+=("$1")
}

date
[ "$device" = sim ] || nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv

# Every kernel, every case: the card's results against float64, by the operator's
# tolerance, and beside the simulator's. A card that does not open is no success.
cases() {
  (cd kernels && ./kernels.test -test.v -test.run '^(TestCard|TestReplay)$') | tee cases.log &&
    { [ "$device" = sim ] || ! grep -q -- '--- SKIP: TestCard' cases.log; }
}
step 'kernels against their meaning' cases

# Whole models: float16 on the card against float32 on the CPU that packed.
against_cpu() {
  head -n "$(wc -l < "$rows")" "${1%.etp}.cpu.jsonl" > cpu.jsonl
  ./etc-cuda run "$1" --device "$device" --input "$rows" --truncate --quiet > card.jsonl && python3 compare.py card.jsonl cpu.jsonl
}
# A row has the same bits in any batch.
invariant() {
  ./etc-cuda run "$1" --device "$device" --input "$rows" --truncate --quiet --max-batch-tokens 64 > one.jsonl &&
    ./etc-cuda run "$1" --device "$device" --input "$rows" --truncate --quiet --max-batch-tokens 16384 > many.jsonl && cmp one.jsonl many.jsonl
}
for plan in plans/*.etp; do
  step "$plan against the CPU" against_cpu "$plan"
  step "$plan in batches of other sizes" invariant "$plan"
done

# The emitted program, where there is nvcc.
emitted() { (cd emitted && ./build.sh && ./main); }
if command -v "${NVCC:-nvcc}" > /dev/null && [ "$device" != sim ]; then
  step 'emitted CUDA' emitted
else
  echo '-- emitted CUDA: not tried, no nvcc or no card'
fi

if [ ${#failed[@]} -gt 0 ]; then
  printf 'FAILED: %s\n' "${failed[@]}"
  exit 1
fi
echo 'all steps passed'
