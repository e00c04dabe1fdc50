"""Measures etc and PyTorch on one BERT_BASE, in one run and in turns: bench.sh
calls it in the folder that pack.sh filled.

Everything is tried; what failed is named at the end. Tables are printed as they
are done, in Markdown; all figures go to $OUT/gpu-bench.json. DEVICE=cpu or sim
tries the script on a tiny model, without a card.
"""

import concurrent.futures
import datetime
import glob
import json
import os
import platform
import select
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

began = time.monotonic()
device = os.environ.get("DEVICE", "cuda")
card = device == "cuda"
limit = float(os.environ.get("LIMIT", 145))  # seconds for everything
here = os.path.dirname(os.path.abspath(__file__))
work = os.environ.get("WORK") or tempfile.mkdtemp(prefix="gpu-bench-")
etc = os.path.join(here, "etc-cuda")
failed, record, everyone = [], {}, []  # everyone: the processes of PyTorch

if card:
    model, dense_shapes, buckets, rounds = [], [(1, 128), (32, 128), (128, 128)], "32,64,128", 3
else:  # 64 positions, so that buckets end there
    model = "-layers 2 -hidden 64 -heads 2 -inner 128 -vocabulary 30522 -positions 64".split()
    dense_shapes, buckets, rounds = [(1, 16), (2, 16)], "16,64", 2
seconds, patience = (0.3, 1) if card else (0.05, 8)
methods = [("tiles", 0.5), ("neurons", 0.333), ("nm", 0.5), ("rows", 0.5), ("heads", 0.166)]
dense_kinds = ["transformers", "eager", "graph", "compile"]
lengths_kinds = ["eager", "graph", "compile", "nested", "varlen"]


def elapsed():
    return time.monotonic() - began


def left():
    return limit - elapsed()


def say(*words):
    print(*words, flush=True)


def fail(step, why):
    failed.append(step)
    say(f"!! {elapsed():.0f} s: {step}: {str(why)[:600]}")


def call(args, seconds):
    """Standard output of a program that is given so many seconds."""
    p = subprocess.run(args, capture_output=True, text=True, timeout=max(1, min(seconds * patience, left())), env=environment)
    if p.returncode:
        raise RuntimeError(f"{' '.join(args[1:3])}: exit {p.returncode}: {p.stderr.strip()[-500:]}")
    return p.stdout


environment = dict(
    os.environ,
    XDG_CACHE_HOME=os.path.join(work, "cache"),
    TORCHINDUCTOR_CACHE_DIR=os.path.join(work, "inductor"),
    TORCHINDUCTOR_COMPILE_THREADS="4",
    HF_HUB_OFFLINE="1",
    TOKENIZERS_PARALLELISM="false",
)


class Peer:
    """A process of peer.py. What it does not answer in time ends it."""

    def __init__(self, kind, name=None):
        self.kind, self.name, self.dead, self.took, self.logits = kind, name or kind, None, {}, {}
        self.log = open(os.path.join(work, self.name.replace(" ", "-") + ".log"), "w")
        self.process = subprocess.Popen(
            [sys.executable, os.path.join(here, "peer.py"), kind, os.path.join(work, "bert"), "cuda" if card else "cpu"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True, bufsize=1, env=environment, start_new_session=True,
        )
        self.lock = threading.Lock()
        everyone.append(self)

    def answer(self, seconds):
        seconds = max(0.1, min(seconds, left() - 5))
        if not select.select([self.process.stdout], [], [], seconds)[0]:
            raise self.end(f"no answer in {seconds:.0f} s")
        line = self.process.stdout.readline()
        if not line:
            self.log.flush()
            raise self.end("ended: " + open(self.log.name).read()[-400:])
        a = json.loads(line)
        if "error" in a:
            raise RuntimeError(a["error"])
        return a

    def end(self, why):
        self.dead = why
        try:
            os.killpg(self.process.pid, 9)  # and what it compiles with: its own session
        except ProcessLookupError:
            pass
        return RuntimeError(f"torch {self.name}: {why}")

    def ask(self, command, seconds):
        with self.lock:
            if self.dead:
                raise RuntimeError(f"torch {self.name}: {self.dead}")
            self.process.stdin.write(json.dumps(command) + "\n")
            return self.answer(seconds)

    def prepare(self, shape, seconds):
        a = self.ask({"do": "prepare", **shape}, seconds)
        self.took[shape["name"]], self.logits[shape["name"]] = a["took"], a["logits"]

    def time(self, name, seconds):
        return self.ask({"do": "time", "name": name, "seconds": seconds}, 20 + 4 * seconds)["ms"]


def target():
    if device == "cpu":
        return "cpu:f32"
    if device == "sim":
        return "sm_90"
    cap = call(["nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader"], 20).split()[0]
    return "sm_" + cap.replace(".", "")


def compile_plan(folder, plan):
    flags = ["--tuning", os.environ["TUNING"]] if os.environ.get("TUNING") else []
    start = time.monotonic()
    call([etc, "compile", folder, "-o", plan, "--target", to, "--seqlen-buckets", buckets, "--quiet", "--force", *flags], 60)
    return time.monotonic() - start


def prune(method, sparsity):
    """Seconds of pruning, seconds of compiling, bytes of the plan."""
    folder, plan = os.path.join(work, method), os.path.join(work, method + ".etp")
    start = time.monotonic()
    call([etc, "prune", os.path.join(work, "bert"), "-o", folder, "--method", method, "--sparsity", str(sparsity), "--quiet", "--force"], 60)
    pruned = time.monotonic() - start
    compiled = compile_plan(folder, plan)
    shutil.rmtree(folder)
    return pruned, compiled, os.path.getsize(plan)


def bench(plan, *flags):
    """Cells of etc bench, by batch."""
    text = call([etc, "bench", plan, "--device", device, "--json", "--quiet", *flags], 60)
    return {c["batch"]: c for c in json.loads(text)["results"]}


def attempt(step, f, *args):
    """f's result, or None where it fails."""
    try:
        return f(*args)
    except Exception as e:
        fail(step, f"{type(e).__name__}: {e}" if not isinstance(e, RuntimeError) else e)


def median(list):
    return statistics.median(list) if list else None


def number(x, digits=3):
    return "–" if x is None else f"{x:.{digits}f}"


def row(*cells):
    return "| " + " | ".join(str(c) for c in cells) + " |"


def table(head, rows):
    say("\n".join(["", row(*head), "|" + "---|" * len(head), *(row(*r) for r in rows), ""]))


def full(batch, tokens):
    return {"name": f"{batch}x{tokens}", "lengths": [tokens] * batch, "pad": 0}


def start_peers(batches, width):
    """The processes, and what they have to prepare, each kind's in order."""
    peers, plans = {}, []
    dense = [full(*s) for s in dense_shapes]
    longest = [{"name": f"batch{i}", "lengths": b, "pad": max(b)} for i, b in enumerate(batches)]
    for kind in ("transformers", "eager", "graph", "nested", "varlen", "reference"):
        peers[kind] = Peer(kind)
    plans += [(peers["transformers"], dense), (peers["eager"], dense + longest), (peers["graph"], dense + longest), (peers["nested"], longest), (peers["varlen"], longest), (peers["reference"], [])]
    # One process for each shape: they compile side by side.
    for s in dense:
        name = f"compile {s['name']}"
        peers[name] = Peer("compile", name)
        plans.append((peers[name], [s]))
    peers["compile lengths"] = Peer("compile", "compile lengths")
    same = [dict(b, name=f"batch{i}", pad=width) for i, b in enumerate(longest)]
    plans.append((peers["compile lengths"], same))
    return peers, plans


def ready(peer, shapes, deadline):
    try:
        with peer.lock:
            peer.answer(deadline - elapsed())
        for s in shapes:
            peer.prepare(s, deadline - elapsed())
    except Exception as e:
        return str(e)


def peer_of(peers, kind, name):
    if kind == "compile":
        return peers["compile lengths" if name.startswith("batch") else f"compile {name}"]
    return peers[kind]


def timed(peers, kind, name, seconds, times):
    """Adds a median, where the peer can."""
    peer = peer_of(peers, kind, name)
    if peer.dead or name not in peer.took:
        return
    ms = attempt(f"torch {kind} {name}", peer.time, name, seconds)
    if ms is not None:
        times.setdefault((kind, name), []).append(ms)


def against_torch(peers, plan):
    """Full rows, in rounds: etc, then each of PyTorch's ways."""
    times, all_batches = {}, ",".join(str(b) for b, _ in dense_shapes)
    tokens = dense_shapes[0][1]
    for i in range(rounds):
        if i > 0 and left() < 62 and card:
            say(f"-- {elapsed():.0f} s: {i} of {rounds} rounds, time is short")
            break
        cells = attempt("etc bench", bench, plan, "--batch", all_batches, "--seqlen", str(tokens), "--seconds", str(seconds)) or {}
        for b, c in cells.items():
            times.setdefault(("etc", f"{b}x{tokens}"), []).append(c["median_ms"])
        for kind in dense_kinds:
            for b, n in dense_shapes:
                timed(peers, kind, f"{b}x{n}", seconds, times)
    rows = []
    for b, n in dense_shapes:
        name = f"{b}x{n}"
        ms = {k: median(times.get((k, name), [])) for k in ["etc"] + dense_kinds}
        best = min((ms[k] for k in dense_kinds if ms[k]), default=None)
        ratio = best / ms["etc"] if best and ms["etc"] else None
        rows.append([f"{b}×{n}", number(ms["etc"]), *(number(ms[k]) for k in dense_kinds), number(ratio, 2) + ("×" if ratio else "")])
    say(f"### All tokens real, f16, medians in ms (of {rounds} rounds at most, in turns)")
    table(["batch × tokens", "etc", *("torch " + k for k in dense_kinds), "best torch / etc"], rows)
    record["dense"] = {f"{k} {n}": v for (k, n), v in times.items()}


def agreement(peers, plan, rows):
    """Logits of etc and of each way against transformers in float32."""
    path = os.path.join(work, "rows.jsonl")
    with open(path, "w") as f:
        for r in rows:
            f.write(json.dumps({"ids": r}) + "\n")
    want = peers["reference"].ask({"do": "logits", "rows": rows}, 30)["logits"]
    largest = max(abs(x) for r in want for x in r)
    answers = {"etc": lambda: [json.loads(l)["logits"] for l in call([etc, "run", plan, "--device", device, "--input", path, "--quiet"], 30).splitlines()]}
    for kind in ("transformers", "eager", "nested", "varlen"):
        answers["torch " + kind] = lambda kind=kind: peers[kind].ask({"do": "logits", "rows": rows}, 20)["logits"]
    table_rows = []
    for name, f in answers.items():
        got = attempt(f"logits of {name}", f)
        if got is None:
            continue
        a, b = [x for r in got for x in r], [x for r in want for x in r]
        off = max(abs(x - y) for x, y in zip(a, b))
        cosine = sum(x * y for x, y in zip(a, b)) / (sum(x * x for x in a) * sum(y * y for y in b)) ** 0.5
        if len(a) != len(b) or not off <= 2e-2 * largest:
            fail(f"agreement of {name}", f"logits off by {off:.4g}, the largest is {largest:.4g}")
        table_rows.append([name, f"{off:.2e}", f"{off / largest:.2e}", f"{cosine:.6f}"])
        record.setdefault("agreement", {})[name] = {"off": off, "largest": largest, "cosine": cosine}
    for p in peers.values():  # what is timed, on the ids it is timed on
        for name, got in p.logits.items():
            base = peers["eager"].logits.get(name, got)
            off = max(abs(x - y) for r, s in zip(got, base) for x, y in zip(r, s))
            if not off <= 2e-2 * largest:
                fail(f"agreement of torch {p.name} {name}", f"logits off by {off:.4g} from the eager way's")
    say(f"### Logits of {len(rows)} rows against transformers in float32 (allowed: 2e-2 of the largest)")
    table(["", "off by at most", "of the largest", "cosine"], table_rows)


def with_lengths(peers, plan, files, batches):
    """Rows of SST-2's lengths, batch by batch: etc packs, PyTorch pads or nests."""
    times, short = {}, seconds / 2
    for again in range(2):
        for i, b in enumerate(batches):
            if again and left() < 40 and card:
                break
            cells = attempt(f"etc bench --lengths {i}", bench, plan, "--batch", str(len(b)), "--lengths", files[i], "--seconds", str(short)) or {}
            for c in cells.values():
                times.setdefault(("etc", f"batch{i}"), []).append(c["median_ms"])
            for kind in lengths_kinds:
                timed(peers, kind, f"batch{i}", short, times)
    tokens = sum(map(sum, batches))
    # All batches one after another, where a way has them all.
    whole = {}
    for kind in ["etc"] + lengths_kinds:
        each = [median(times.get((kind, f"batch{i}"), [])) for i in range(len(batches))]
        whole[kind] = sum(each) if all(each) else None
    labels = {"etc": "etc, packed", "eager": "torch padded", "graph": "torch padded, graph", "compile": "torch padded, compile", "nested": "torch nested (jagged)", "varlen": "torch packed (varlen_attn)"}
    rows = []
    for kind, ms in whole.items():
        ratio = ms / whole["etc"] if ms and whole["etc"] else None
        rows.append([labels[kind], number(ms), number(tokens / ms, 0) if ms else "–", number(ratio, 2) + ("×" if ratio else "")])
    say(f"### SST-2 lengths, f16: {len(batches)} batches of {len(batches[0])} rows, {tokens} tokens, {tokens / sum(map(len, batches)):.1f} a row, the longest {max(map(max, batches))}")
    table(["", "ms for all batches", "real tokens a ms", "etc is faster by"], rows)
    record["lengths"] = {f"{k} {n}": v for (k, n), v in times.items()}


def pruned_against_dense(plan, pruned):
    """Each pruned plan and the dense one in turns, by etc bench --baseline."""
    rows, tokens = [], dense_shapes[0][1]
    for method, sparsity in methods:
        took = pruned.get(method)
        if took is None:
            continue
        if left() < 8:
            fail(f"bench {method}", "no time left")
            continue
        cells = attempt(f"bench {method}", bench, os.path.join(work, method + ".etp"), "--baseline", plan, "--max-regress", "10000%",
                        "--batch", ",".join(str(b) for b, _ in dense_shapes), "--seqlen", str(tokens), "--seconds", str(seconds))
        if not cells:
            continue
        rows.append([f"`{method}` {100 * sparsity:.0f} %", f"{took[2] / 1e6:.0f} MB", f"{took[0]:.1f} + {took[1]:.1f}",
                     *(f"{c['median_ms']:.3f}, {c['baseline_ms']:.3f}: {c['speedup']:.2f}×" for c in cells.values())])
        record.setdefault("pruned", {})[method] = {"sparsity": sparsity, "prune_s": took[0], "compile_s": took[1], "bytes": took[2], "cells": list(cells.values())}
    say("### Pruned against dense, etc alone, f16, medians in ms (pruned, dense in turns: speed-up)")
    table(["method, zeros of the encoder", "plan", "prune + compile s", *(f"{b}×{n}" for b, n in dense_shapes)], rows)


def versions():
    found = {"date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"), "python": platform.python_version()}
    ask = "import torch, transformers; print(torch.__version__, transformers.__version__)"
    pair = attempt("versions of torch", call, [sys.executable, "-c", ask], 60)
    if pair:
        found["torch"], found["transformers"] = pair.split()
    found["etc"] = (attempt("etc version", call, [etc, "version"], 20) or "").split("\n")[0].removeprefix("etc ")
    if card:
        smi = attempt("nvidia-smi", call, ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"], 20) or ""
        found["device"] = smi.strip()
    record["versions"] = found
    say("; ".join(f"{k} {v}" for k, v in found.items()))


def read_batches():
    """The files of lengths, and the lengths in each."""
    files = sorted(glob.glob(os.path.join(here, "lengths", "*.jsonl")))
    rows = [[json.loads(line)["ids"] for line in open(f)] for f in files]
    if not card:
        files, rows = files[:2], [r[:4] for r in rows[:2]]
    return files, [[len(r) for r in b] for b in rows], rows[0][:8]


def prepare(files, batches):
    """The model; then, side by side, plans and what PyTorch compiles: none of it is measured."""
    global to
    to = target()
    call([os.path.join(here, "etc-bert"), *model, os.path.join(work, "bert")], 60)
    say(f"-- {elapsed():.0f} s: {os.path.getsize(os.path.join(work, 'bert', 'model.safetensors')) / 1e6:.0f} MB of random weights; target {to}")
    width = (max(map(max, batches)) + 7) // 8 * 8
    peers, plans = start_peers(batches, width)
    deadline = elapsed() + (float(os.environ.get("COMPILE_LIMIT", 55)) if card else 120)
    dense, pruned = os.path.join(work, "dense.etp"), {}
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        versions_done = pool.submit(versions)
        peers_done = {p: pool.submit(ready, p, shapes, deadline) for p, shapes in plans}
        compiled = attempt("etc compile", compile_plan, os.path.join(work, "bert"), dense)  # it fills the cache of kernels
        if compiled is not None:
            say(f"-- {elapsed():.0f} s: dense plan of {os.path.getsize(dense) / 1e6:.0f} MB in {compiled:.1f} s, kernels and all")
        prunings = {m: pool.submit(prune, m, s) for m, s in methods}
        for m, f in prunings.items():
            pruned[m] = attempt(f"prune {m}", f.result)
        say(f"-- {elapsed():.0f} s: pruned: {', '.join(m for m in pruned if pruned[m])}")
        for p, f in peers_done.items():
            why = f.result()
            if why:
                fail(f"torch {p.name}", why)
        versions_done.result()
    for p in peers.values():
        if p.took:
            say(f"-- torch {p.name}: " + ", ".join(f"{n} {t:.1f} s" for n, t in p.took.items()))
    say(f"-- {elapsed():.0f} s: all is prepared")
    return peers, dense, pruned


def finish():
    """Ends what was started, writes the figures, names what failed."""
    for p in everyone:
        p.end("done")
    record["failed"] = failed
    if os.environ.get("OUT"):
        with open(os.path.join(os.environ["OUT"], "gpu-bench.json"), "w") as f:
            json.dump(record, f, indent=1)
    if not os.environ.get("WORK"):
        shutil.rmtree(work, ignore_errors=True)
    say(f"-- {elapsed():.0f} s: end")
    for step in failed:
        say(f"FAILED: {step}")
    sys.stdout.flush()
    os._exit(1 if failed else 0)  # whatever threads still wait for


def stopped(*_):
    failed.append("the whole: its time is up")
    finish()


def main():
    signal.signal(signal.SIGTERM, stopped)
    try:
        files, batches, rows = read_batches()
        peers, dense, pruned = prepare(files, batches)
    except Exception as e:
        fail("prepare", f"{type(e).__name__}: {e}")
        finish()
    attempt("etc against torch", against_torch, peers, dense)
    attempt("agreement", agreement, peers, dense, rows)
    attempt("SST-2 lengths", with_lengths, peers, dense, files, batches)
    for p in everyone:
        p.end("done")
    attempt("pruned against dense", pruned_against_dense, dense, pruned)
    finish()


if __name__ == "__main__":
    main()
