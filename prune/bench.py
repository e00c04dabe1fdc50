#!/usr/bin/env python3
"""What make prune-bench runs: real models are pruned, judged on all rows, and timed in turns with the dense ones.

usage: prune/bench.py SHARED OUT DOC [--speeds] [NAME ...]

SHARED holds models and data, OUT gets checkpoints, plans and a record for each
ask, DOC is the page whose table is written anew between its markers. Asks that
are named are run; without names all are. Every ask that has a record in OUT is in
the table, so asks can be run one by one, when the machine is idle.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

SHAPES = [(1, 32), (1, 128), (8, 128)]
DTYPES = ["f32", "int16", "int8"]
BEGIN, END = "<!-- make prune-bench writes from here -->", "<!-- to here -->"

SST2 = {"eval": "data/sst2/dev.tsv", "calib": "data/sst2/train.tsv", "metric": "accuracy"}
STSB = {"eval": "data/stsb/sts-dev.csv", "calib": "data/stsb/sts-train.csv", "metric": "spearman"}
# Language models are judged on windows 1 to 32 and calibrated on text from window 200 on.
TEXT = {"eval": "data/wikitext2/valid.txt", "limit": 32, "calib_from": 200}


def asks():
    """name → model, data, flags of prune, and the largest drop wanted."""
    all = {}

    def ask(name, model, data, flags, most=None, search=False, dtypes=DTYPES):
        all[name] = {"model": model, "data": data, "flags": flags, "most": most, "search": search, "dtypes": dtypes}

    ask("stsb-1.5", "all-MiniLM-L6-v2", STSB, ["--speedup", "1.5"], 0.5, True)
    ask("stsb-2", "all-MiniLM-L6-v2", STSB, ["--speedup", "2"], 1.5, True)
    ask("sst2-1.5", "minilm-sst2", SST2, ["--speedup", "1.5", "--max-drop", "1%"], 1, True)
    ask("sst2-2", "minilm-sst2", SST2, ["--speedup", "2"], 1.5, True)
    ask("sst2-2-int8", "minilm-sst2", SST2, ["--speedup", "2", "--target", "cpu:int8"], 1.5, True)
    ask("sst2-2.5", "minilm-sst2", SST2, ["--speedup", "2.5"], 2.5, True)
    ask("distil-1.8", "distil-minilm-sst2", SST2, ["--speedup", "1.8"], 1.5, True)
    ask("gpt2-narrow", "gpt2-wikitext", TEXT | {"metric": "perplexity"}, ["--method", "narrow", "--sparsity", "0.3"], 8)
    tiles = ["--sparsity", "0.3"]
    ask("sst2-tiles", "minilm-sst2", SST2, ["--method", "tiles:obs", *tiles, "--spread"], 1.5)
    ask("sst2-tiles-evenly", "minilm-sst2", SST2, ["--method", "tiles:obs", *tiles], 1.5, dtypes=["f32"])
    ask("sst2-tiles-magnitude", "minilm-sst2", SST2, ["--method", "tiles:magnitude", *tiles], dtypes=["f32"])
    for preset in ["et-tile", "et-aware1", "et-aware2"]:
        for percent in [50, 70, 80]:
            for criterion in ["", ":magnitude"]:
                share = percent / 100
                if preset == "et-aware2" and percent == 80:
                    share = 0.64  # W_V keeps its entries, a fifth of all: this is 80 % of the others
                ask(f"lm-{preset}-{percent}{criterion.replace(':', '-')}", "transformer-lm-wikitext", TEXT | {"metric": "next_token_accuracy"},
                    ["--method", preset + criterion, "--sparsity", str(share)], dtypes=["f32"])
    return all


class Bench:
    def __init__(self, shared, out):
        self.shared, self.out = pathlib.Path(shared), pathlib.Path(out)
        self.out.mkdir(parents=True, exist_ok=True)
        self.etc = os.environ.get("ETC", "bin/etc")
        os.environ["ETC_CACHE_DIR"] = str(self.out / "cache")

    def run(self, *args):
        """Runs etc; returns standard output, standard error, seconds and peak MB."""
        start = time.monotonic()
        with open(self.out / "stdout", "w+") as stdout, open(self.out / "stderr", "w+") as stderr:
            child = subprocess.Popen([self.etc, *map(str, args)], stdout=stdout, stderr=stderr)
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
            texts = []
            for f in (stdout, stderr):
                f.seek(0)
                texts.append(f.read())
        if child.returncode not in (0, 8):
            sys.exit(f"etc {' '.join(map(str, args))}: exit {child.returncode}\n{texts[1]}")
        return *texts, time.monotonic() - start, usage.ru_maxrss / 1024, child.returncode

    def plan(self, model, dtype):
        """Compiles a checkpoint once and returns the plan's path."""
        path = self.out / f"{model.name}-{dtype}.etp"
        if not path.exists() or path.stat().st_mtime < max(f.stat().st_mtime for f in model.iterdir()):
            self.run("compile", model, "-o", path, "--target", "cpu:" + dtype, "--force")
        return path

    def metric(self, plan, data):
        args = ["eval", plan, "--data", self.shared / data["eval"], "--json"]
        if "limit" in data:
            args += ["--limit", data["limit"]]
        return json.loads(self.run(*args)[0])["metrics"][data["metric"]]["value"]

    def speeds(self, plan, baseline):
        """Ratios of medians, dense to pruned, in turns."""
        ratios = []
        for batch, tokens in SHAPES:
            out = self.run("bench", plan, "--baseline", baseline, "--max-regress", "1000%", "--batch", batch, "--seqlen", tokens, "--seconds", 3, "--json")[0]
            cell = json.loads(out)["results"][0]
            ratios.append(cell["baseline_ms"] / cell["median_ms"])
        return ratios

    def calibration(self, model, data):
        """The file of calibration rows: of a text, the lines from a window on."""
        source = self.shared / data["calib"] if "calib" in data else self.shared / data["eval"]
        if "calib_from" not in data:
            return source
        width = {"gpt2-wikitext": 256, "transformer-lm-wikitext": 128}[model.name]
        left = data["calib_from"] * width
        counts = [len(json.loads(line)["ids"]) for line in self.run("tokenize", model, "--input", self.nonempty(source))[0].splitlines()]
        lines = [line for line in source.read_text().splitlines(True) if line.strip()]
        at = 0
        while left > 0:
            left, at = left - counts[at], at + 1
        part = self.out / f"{model.name}-calibration.txt"
        part.write_text("".join(lines[at:]))
        return part

    def nonempty(self, source):
        path = self.out / "lines.txt"
        path.write_text("".join(line for line in source.read_text().splitlines(True) if line.strip()))
        return path

    def ask(self, name, ask):
        model, data = self.shared / "models" / ask["model"], ask["data"]
        pruned = self.out / name
        args = ["prune", model, "-o", pruned, "--calib", self.calibration(model, data), "--report", self.out / f"{name}.html", "--force"]
        if ask["search"]:
            args += ["--eval", self.shared / data["eval"]]
        shutil.rmtree(self.out / "cache", ignore_errors=True)  # the time of a search is that of a first one
        _, said, seconds, peak, code = self.run(*args, *ask["flags"])
        record = {"name": name, "model": ask["model"], "flags": ask["flags"], "metric": data["metric"], "most": ask["most"], "dtypes": ask["dtypes"], "seconds": seconds, "peak_mb": peak, "said": said}
        if code == 0:
            record["sparsity"] = json.loads((pruned / "etc-recipe.json").read_text())["sparsity"]
            for dtype in ask["dtypes"]:
                dense, mine = self.plan(model, dtype), self.plan(pruned, dtype)
                record[dtype] = {"dense": self.metric(dense, data), "pruned": self.metric(mine, data), "speeds": self.speeds(mine, dense)}
        (self.out / f"{name}.json").write_text(json.dumps(record, indent=1))
        print(row(record), f"{seconds:.0f} s", flush=True)


    def time(self, name, ask):
        path = self.out / f"{name}.json"
        record = json.loads(path.read_text())
        for dtype in ask["dtypes"]:
            if dtype in record:
                record[dtype]["speeds"] = self.speeds(self.plan(self.out / name, dtype), self.plan(self.shared / "models" / ask["model"], dtype))
        path.write_text(json.dumps(record, indent=1))
        print(row(record), flush=True)


def drop(record, dtype, against):
    """In points, or percent of a perplexity, against the dense model in another dtype."""
    dense, pruned = record[against]["dense"], record[dtype]["pruned"]
    return 100 * (pruned / dense - 1) if record["metric"] == "perplexity" else 100 * (dense - pruned)


def row(record):
    ask = " ".join(record["flags"])
    if "f32" not in record:
        return f"| {record['model']} | `{ask}` | exit 8 | | | | | | | |"
    table = re.search(r"speed-up ([0-9.]+) by the table", record["said"])
    accept = re.findall(r"(?:accept|reserve) rows: .*drop (\S+) \(95 % interval (\S+) to (\S+), (\d+) rows\)", record["said"])
    speeds = "; ".join(f"{d} " + " ".join(f"{s:.2f}" for s in record[d]["speeds"]) for d in record["dtypes"])
    drops = "; ".join(f"{d} {drop(record, d, 'f32'):.2f}" for d in record["dtypes"])
    wanted = "" if record["most"] is None else f"≤ {record['most']}"
    scale = (lambda x: f"{x:.2f}") if record["metric"] == "perplexity" else (lambda x: f"{100 * x:.2f}")
    return " | ".join([
        f"| {record['model']}", f"`{ask}`", f"{100 * record['sparsity']:.0f} %", table.group(1) if table else "", speeds,
        f"{record['metric']} {scale(record['f32']['pruned'])} of {scale(record['f32']['dense'])}", drops, wanted,
        "{} ({} to {}, {})".format(*accept[-1]) if accept else "", f"{record['seconds']:.0f} s, {record['peak_mb']:.0f} MB |"])


HEAD = """| model | ask | zeros | by the table | measured at 1×32, 1×128, 8×128 | all rows, f32 | drop against dense f32 | wanted | accept rows | search |
|---|---|---|---|---|---|---|---|---|---|
"""


def write(out, doc):
    """Puts the table of all records in OUT between the markers of the page."""
    lines = []
    for name in asks():
        path = out / f"{name}.json"
        if path.exists():
            lines.append(row(json.loads(path.read_text())))
    text = doc.read_text()
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    machine = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text()).group(1)
    note = f"{time.strftime('%-d %B %Y')}, {machine}, {os.cpu_count()} CPUs.\n\n"
    doc.write_text(before + BEGIN + "\n\n" + note + HEAD + "\n".join(lines) + "\n\n" + END + after)


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    shared, out, doc, names = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]), sys.argv[4:]
    all = asks()
    only_speeds = "--speeds" in names
    names = [n for n in names if n != "--speeds"]
    unknown = [n for n in names if n not in all]
    if unknown:
        sys.exit(f"{unknown}: want some of {', '.join(all)}")
    bench = Bench(shared, out)
    for name in names or all:
        (bench.time if only_speeds else bench.ask)(name, all[name])
    write(out, doc)


main()
