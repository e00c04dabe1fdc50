#!/usr/bin/env python3
"""Reads what peers.sh measured, prints ratios as tables of Markdown.

    executor/cpu/peers.py MODEL RUN.json...       beside each RUN.json lies RUN.records

A RUN.json is of cpu_peers.py: medians in ms of every engine for each shape. RUN.records has, a line each, the name of a plan and the
JSON of one etc bench. Ratios are the median over the runs that count: a run does where the median of its peaks of fused multiply-adds,
measured beside every cell of etc, is at least 90 % of the best of them. If none does, all runs are taken and the table says so. A ratio to our
own float32 counts in runs alone in which that stands at 75 % of the peak at 8×128. Cells below what is wanted on a machine with AVX-512 VNNI are marked."""
import json, pathlib, statistics, sys

STEADY = 0.9
LEAST_SHARE = 0.75  # of the peak, by float32 at 8×128
PEERS = ("ov-f32", "ort-f32", "torch-f32")  # in float32


class Run:
    def __init__(self, path):
        record = json.loads(path.read_text())
        self.ms = {(r["batch"], r["seqlen"]): r["median_ms"] for r in record["results"]}
        cells = [(line.split(" ", 1)) for line in path.with_suffix(".records").read_text().splitlines()]
        cells = [(plan, json.loads(text)["results"][0]) for plan, text in cells]
        floats = [c for plan, c in cells if plan in ("f32", "tiles")]
        self.steady = statistics.median(c["peak_gflops"] for c in floats) / max(c["peak_best_gflops"] for c in floats)
        shares = {}
        for plan, c in cells:
            if plan == "f32":
                shares.setdefault((c["batch"], c["seqlen"]), []).append(c["gflops"] / c["peak_gflops"])
        self.share = {shape: statistics.median(v) for shape, v in shares.items()}

    def best(self, shape):
        return min(v for name, v in self.ms[shape].items() if name in PEERS)

    def mine(self, shape, plan):
        return self.ms[shape]["etc-" + plan]


# The lines of the table: a function of a run and a shape.
LINES = {
    "f32 / best float32 peer": lambda r, s: r.best(s) / r.mine(s, "f32"),
    "int16 / best float32 peer": lambda r, s: r.best(s) / r.mine(s, "int16"),
    "int8 / ONNX Runtime int8": lambda r, s: r.ms[s]["ort-int8"] / r.mine(s, "int8"),
    "int16 / own f32": lambda r, s: r.mine(s, "f32") / r.mine(s, "int16"),
    "int8 / own f32": lambda r, s: r.mine(s, "f32") / r.mine(s, "int8"),
    "half of the tiles / own f32": lambda r, s: r.mine(s, "f32") / r.mine(s, "tiles"),
    "own f32, ms": lambda r, s: r.mine(s, "f32"),
    "own f32, % of the peak": lambda r, s: 100 * r.share[s],
}

# What issue 6 wants of a machine with AVX-512 VNNI, by model: a function of batch and tokens.
WANTED = {
    "minilm": {"f32 / best float32 peer": lambda b, s: 1.3 if b * s <= 32 else 1.1, "int16 / best float32 peer": lambda b, s: 1.9,
               "int8 / ONNX Runtime int8": lambda b, s: 1.5, "half of the tiles / own f32": lambda b, s: 1.5},
    "bert-base": {"f32 / best float32 peer": lambda b, s: 1.0, "int16 / best float32 peer": lambda b, s: 1.7,
                  "int8 / ONNX Runtime int8": lambda b, s: 1.5, "half of the tiles / own f32": lambda b, s: 1.6},
}


def main():
    model, runs = sys.argv[1], [Run(pathlib.Path(p)) for p in sys.argv[2:]]
    for i, r in enumerate(runs, 1):
        print(f"run {i}: the median of the peaks is {100 * r.steady:.0f} % of the best" + ("" if r.steady >= STEADY else ": does not count"))
    counted = [r for r in runs if r.steady >= STEADY]
    print(f"{len(counted)} of {len(runs)} runs count" + ("" if counted else "; the table is of all of them"))
    counted = counted or runs
    full = [r for r in counted if r.share.get((8, 128), 0) >= LEAST_SHARE]
    print(f"{len(full)} of them have float32 at {100 * LEAST_SHARE:.0f} % of the peak at 8×128" + ("" if full else "; ratios to our own float32 do not count"))
    print("cells with ! are below what issue 6 wants on a machine with AVX-512 VNNI")
    shapes = list(runs[0].ms)
    print("| | " + " | ".join(f"{b}×{s}" for b, s in shapes) + " |\n|---|" + "---|" * len(shapes))
    for line, value in LINES.items():
        taken, wanted = (full or counted if "own f32" in line else counted), WANTED[model].get(line, lambda b, s: 0)
        values = [statistics.median(value(r, shape) for r in taken) for shape in shapes]
        print(f"| {line} | " + " | ".join((f"{v:.0f}" if "%" in line else f"{v:.2f}") + ("!" if v < wanted(*shape) else "") for v, shape in zip(values, shapes)) + " |")


main()
