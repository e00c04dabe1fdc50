#!/usr/bin/env python3
"""Times classification from lines of text to answers: etc run against ONNX Runtime with Hugging Face's fast tokenizer.

    executor/cpu/answers.py MODEL ROWS.tsv ETC f32=PLAN.etp int16=PLAN.etp...

The peer takes the rows as they lie, 32 at a time, padded to the longest of them; its model (float32, fused operators; and dynamic int8) and
tokenizer are loaded before the clock starts, and its first batches have run. etc is the whole process of ETC run, loading and writing in it. All
take turns, ROUNDS times; figures are medians, and how many labels differ from ONNX Runtime's in float32."""
import json, os, pathlib, statistics, subprocess, sys, tempfile, time, warnings

warnings.filterwarnings("ignore")
THREADS, ROUNDS, BATCH = int(os.environ.get("THREADS", 2)), int(os.environ.get("ROUNDS", 5)), 32
os.environ["OMP_NUM_THREADS"] = os.environ["RAYON_NUM_THREADS"] = str(THREADS)
os.environ["TOKENIZERS_PARALLELISM"] = "true"
import torch, transformers


def sessions(folder, tmp):
    import onnxruntime as rt
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.transformers import optimizer
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, input_ids, attention_mask):
            return self.model(input_ids=input_ids, attention_mask=attention_mask).logits

    ids, axes = torch.full((2, 16), 1000), {0: "b", 1: "s"}
    torch.onnx.export(Net(), (ids, torch.ones_like(ids)), f"{tmp}/m.onnx", input_names=["input_ids", "attention_mask"], output_names=["y"],
                      dynamic_axes={"input_ids": axes, "attention_mask": axes, "y": {0: "b"}}, opset_version=17, dynamo=False)
    c = model.config
    optimizer.optimize_model(f"{tmp}/m.onnx", model_type="bert", num_heads=c.num_attention_heads, hidden_size=c.hidden_size).save_model_to_file(f"{tmp}/f32.onnx")
    quantize_dynamic(f"{tmp}/f32.onnx", f"{tmp}/int8.onnx", weight_type=QuantType.QInt8, extra_options={"MatMulConstBOnly": True, "DefaultTensorType": 1})
    options = rt.SessionOptions()
    options.intra_op_num_threads = THREADS
    return {name: rt.InferenceSession(f"{tmp}/{name}.onnx", options, providers=["CPUExecutionProvider"]) for name in ("f32", "int8")}


def main():
    folder, rows, etc, *plans = sys.argv[1:]
    texts = [line.split("\t")[0] for line in pathlib.Path(rows).read_text().splitlines()]
    plans = dict(p.split("=", 1) for p in plans)
    with tempfile.TemporaryDirectory() as tmp:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        lines = pathlib.Path(tmp, "rows.txt")
        lines.write_text("".join(t + "\n" for t in texts))

        def peer(session):
            labels = []
            for i in range(0, len(texts), BATCH):
                batch = tokenizer(texts[i:i + BATCH], padding=True, truncation=True, return_tensors="np")
                labels += session.run(None, {k: batch[k] for k in ("input_ids", "attention_mask")})[0].argmax(-1).tolist()
            return labels

        def mine(plan):
            out = subprocess.run([etc, "run", plan, "--input", lines, "--input-format", "text", "--device", "cpu", "--threads", str(THREADS), "--quiet"],
                                 check=True, capture_output=True, text=True).stdout
            return [json.loads(line)["label"] for line in out.splitlines()]

        engines = {f"ort-{name}": lambda s=s: peer(s) for name, s in sessions(folder, tmp).items()}
        engines |= {f"etc-{name}": lambda p=p: mine(p) for name, p in plans.items()}
        times, labels = {name: [] for name in engines}, {}
        names = transformers.AutoConfig.from_pretrained(folder).label2id
        for round in range(ROUNDS + 1):
            for name, run in engines.items():
                start = time.perf_counter()
                answers = run()
                if round:  # the first is to warm up
                    times[name].append(time.perf_counter() - start)
                labels[name] = [names.get(a, a) for a in answers]
        ms = {name: 1e3 * statistics.median(t) for name, t in times.items()}
        print(f"{len(texts)} rows, {THREADS} threads\n| | ms | faster than ONNX Runtime float32 | int8 | other labels |\n|---|---|---|---|---|")
        for name, t in ms.items():
            other = sum(a != b for a, b in zip(labels[name], labels["ort-f32"], strict=True))
            print(f"| {name} | {t:.0f} | {ms['ort-f32'] / t:.2f} | {ms['ort-int8'] / t:.2f} | {other} |")


main()
