"""Compares two outputs of etc run, line by line: compare.py CARD CPU.

Numbers may be off by 2e-2 of the largest logit (f16, design of etc: Numerics),
losses by 5e-3 a scored token, embeddings by a cosine below 0.9999. A label may
differ only where the CPU's two best logits lie closer than twice the bound.
"""

import json
import math
import sys


def main(card, cpu):
    a = [json.loads(line) for line in open(card)]
    b = [json.loads(line) for line in open(cpu)]
    assert len(a) == len(b) and a, f"{len(a)} and {len(b)} answers"
    largest = max((abs(x) for r in b for x in r.get("logits", [])), default=1)
    bound, worst, labels, bad = 2e-2 * largest, 0.0, 0, 0
    for line, (x, y) in enumerate(zip(a, b), 1):
        assert x.keys() == y.keys(), f"line {line}: {list(x)} and {list(y)}"
        if "logits" in y:
            off = max(abs(p - q) for p, q in zip(x["logits"], y["logits"]))
            allowed = bound
            if x["label"] != y["label"]:
                best = sorted(y["logits"])
                labels += 1
                print(f"line {line}: label {x['label']}, the CPU's {y['label']} leads by {best[-1] - best[-2]:.4g}")
                bad += best[-1] - best[-2] > 2 * bound
        elif "nll" in y:
            off, allowed = abs(x["nll"] - y["nll"]), 5e-3 * max(1, y["scored"])
        elif "embedding" in y:
            p, q = x["embedding"], y["embedding"]
            cosine = sum(s * t for s, t in zip(p, q)) / math.sqrt(sum(s * s for s in p) * sum(t * t for t in q))
            off, allowed = 1 - cosine, 1e-4
        else:
            continue  # both are errors of the row
        worst = max(worst, off / allowed)
        if not off <= allowed:
            bad += 1
            print(f"line {line}: off by {off:.4g}, allowed {allowed:.4g}")
    print(f"{len(a)} rows, at most {worst:.3g} of what is allowed, {labels} other labels")
    return bad > 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
