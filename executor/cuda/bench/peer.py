"""PyTorch's side of bench.py: one process that runs a BERT in one way.

    peer.py KIND MODEL DEVICE

MODEL is a Hugging Face folder. It reads commands from standard input, one JSON
object a line, and answers each with one. A shape is {"lengths": [...], "pad":
L}, rows of random ids, padded to L with a mask, or with 0 neither padded nor
masked. A time is from ids in the host's memory to logits there, as etc's is.

Kinds, all float16 but for the first, attention by scaled_dot_product_attention:

    reference     transformers, float32
    transformers  transformers, eager
    eager         the same model by hand, with one product for query, key and value
    graph         the same in a CUDA graph for each shape
    compile       the same through torch.compile, mode reduce-overhead
    nested        the same on packed tokens, attention on jagged nested tensors
    varlen        the same on packed tokens, attention by torch.nn.attention.varlen
"""

import json
import os
import sys
import time

import torch
import torch.nn.functional as F

try:
    from torch.nn.attention.varlen import varlen_attn
except ImportError:  # before PyTorch 2.10
    varlen_attn = None


class Bert:
    """BertForSequenceClassification by hand, over a checkpoint's weights."""

    def __init__(self, folder, device, dtype):
        from safetensors.torch import load_file

        config = json.load(open(os.path.join(folder, "config.json")))
        w = {k: v.to(device=device, dtype=dtype) for k, v in load_file(os.path.join(folder, "model.safetensors")).items()}
        self.heads, self.hidden, self.eps = config["num_attention_heads"], config["hidden_size"], config["layer_norm_eps"]
        pair = lambda name: (w[name + ".weight"], w[name + ".bias"])
        e = "bert.embeddings."
        self.word, self.position, self.type = (w[e + n + "_embeddings.weight"] for n in ("word", "position", "token_type"))
        self.norm, self.pooler, self.classifier = pair(e + "LayerNorm"), pair("bert.pooler.dense"), pair("classifier")
        self.layers = []
        for i in range(config["num_hidden_layers"]):
            l = f"bert.encoder.layer.{i}."
            parts = [pair(l + "attention.self." + n) for n in ("query", "key", "value")]
            qkv = tuple(torch.cat(t).contiguous() for t in zip(*parts))
            self.layers.append(
                (qkv, pair(l + "attention.output.dense"), pair(l + "attention.output.LayerNorm"), pair(l + "intermediate.dense"), pair(l + "output.dense"), pair(l + "output.LayerNorm"))
            )

    def weights(self):
        yield from (self.word, self.position, self.type, *self.norm, *self.pooler, *self.classifier)
        for layer in self.layers:
            for pair in layer:
                yield from pair

    def layer_norm(self, x, norm):
        return F.layer_norm(x, (self.hidden,), *norm, self.eps)

    def encode(self, x, attend):
        for qkv, out, norm1, up, down, norm2 in self.layers:
            x = self.layer_norm(x + F.linear(attend(F.linear(x, *qkv)), *out), norm1)
            x = self.layer_norm(x + F.linear(F.gelu(F.linear(x, *up)), *down), norm2)
        return x

    def head(self, first):
        return F.linear(torch.tanh(F.linear(first, *self.pooler)), *self.classifier)

    def padded(self, ids, mask):
        """ids [rows][tokens]; mask of the same shape, true where a token is, or None."""
        rows, tokens = ids.shape
        x = self.layer_norm(self.word[ids] + self.position[:tokens] + self.type[0], self.norm)
        keep = None if mask is None else mask[:, None, None, :]

        def attend(qkv):
            q, k, v = qkv.view(rows, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
            return F.scaled_dot_product_attention(q, k, v, attn_mask=keep).transpose(1, 2).reshape(rows, tokens, self.hidden)

        return self.head(self.encode(x, attend)[:, 0])

    def jagged(self, ids, positions, offsets, shortest, longest, varlen):
        """ids and positions [tokens] of all rows, one behind another."""
        x = self.layer_norm(self.word[ids] + self.position[positions] + self.type[0], self.norm)

        def nest(t):
            return torch.nested.nested_tensor_from_jagged(t, offsets=offsets, min_seqlen=shortest, max_seqlen=longest).transpose(1, 2)

        ends = offsets.int()

        def attend(qkv):
            q, k, v = qkv.view(-1, 3, self.heads, self.hidden // self.heads).transpose(0, 1).contiguous()
            if varlen:
                return varlen_attn(q, k, v, ends, ends, longest, longest).reshape(-1, self.hidden)
            y = F.scaled_dot_product_attention(nest(q), nest(k), nest(v))
            return y.transpose(1, 2).values().reshape(-1, self.hidden)

        return self.head(self.encode(x, attend)[offsets[:-1]])


def random_ids(vocabulary, lengths):
    g = torch.Generator().manual_seed(1)
    return [torch.randint(0, vocabulary, (n,), generator=g) for n in lengths]


class Peer:
    def __init__(self, kind, folder, device):
        self.kind, self.device, self.runs = kind, device, {}
        if device == "cpu":  # whether others would do is asked of a CUDA device, also there
            torch.backends.cuda.enable_flash_sdp(False)
            torch.backends.cuda.enable_mem_efficient_sdp(False)
            torch.backends.cuda.enable_cudnn_sdp(False)
        self.hf, self.packed = kind in ("reference", "transformers"), kind in ("nested", "varlen")
        dtype = torch.float32 if kind == "reference" or device == "cpu" else torch.float16
        if self.hf:
            from transformers import AutoModelForSequenceClassification

            self.model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=dtype, attn_implementation="sdpa").to(device).eval()
            self.vocabulary = self.model.config.vocab_size
        else:
            self.model = Bert(folder, device, dtype)
            self.vocabulary = self.model.word.shape[0]
        if kind == "compile":  # or CUDA graphs would copy them for each run
            for t in self.model.weights():
                torch._dynamo.mark_static_address(t, guard=False)

    def host(self, t):
        return t.pin_memory() if self.device == "cuda" else t

    def inputs(self, rows, pad):
        """What the model takes, in the host's memory."""
        if self.packed:
            offsets = torch.tensor([0] + [len(r) for r in rows]).cumsum(0)
            return [self.host(t) for t in (torch.cat(rows), torch.cat([torch.arange(len(r)) for r in rows]), offsets)]
        width = pad or len(rows[0])
        ids, mask = torch.zeros(len(rows), width, dtype=torch.long), torch.zeros(len(rows), width, dtype=torch.bool)
        for i, r in enumerate(rows):
            ids[i, : len(r)], mask[i, : len(r)] = r, True
        return [self.host(ids)] + ([self.host(mask)] if pad else [])

    def function(self, rows):
        """From inputs on the device to logits there."""
        if self.packed:
            varlen = self.kind == "varlen" and self.device == "cuda"
            shortest, longest = min(map(len, rows)), max(map(len, rows))
            return lambda ids, positions, offsets: self.model.jagged(ids, positions, offsets, shortest, longest, varlen)
        if self.hf:
            return lambda ids, mask=None: self.model(input_ids=ids, attention_mask=None if mask is None else mask.long()).logits
        return lambda ids, mask=None: self.model.padded(ids, mask)

    def prepared(self, rows, pad):
        """A function of nothing that gives logits on the host."""
        host, f = self.inputs(rows, pad), self.function(rows)
        send = lambda: [t.to(self.device, non_blocking=True) for t in host]
        if self.kind == "compile":
            f = torch.compile(f, mode="reduce-overhead", dynamic=False)
        if self.kind == "graph" and self.device == "cuda":
            static = send()
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(3):
                    f(*static)
            torch.cuda.current_stream().wait_stream(side)
            torch.cuda.synchronize()
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                out = f(*static)

            def replay():
                for to, t in zip(static, host):
                    to.copy_(t, non_blocking=True)
                graph.replay()
                return out.cpu()

            return replay
        return lambda: f(*send()).cpu()

    def do(self, c):
        if c["do"] == "prepare":
            began = time.perf_counter()
            run = self.prepared(random_ids(self.vocabulary, c["lengths"]), c["pad"])
            for _ in range(3):
                logits = run()
            assert torch.isfinite(logits).all(), "logits that are no numbers"
            self.runs[c["name"]] = run
            return {"took": time.perf_counter() - began, "logits": logits[:8].float().tolist()}
        if c["do"] == "logits":
            rows = [torch.tensor(r) for r in c["rows"]]
            pad = 0 if self.packed else max(map(len, rows))
            return {"logits": self.prepared(rows, pad)().float().tolist()}
        run, times = self.runs[c["name"]], []
        warm = time.perf_counter() + min(0.1, c["seconds"])
        while time.perf_counter() < warm:
            run()
        end = time.perf_counter() + c["seconds"]
        while len(times) < 3 or time.perf_counter() < end:
            began = time.perf_counter()
            run()
            times.append(1e3 * (time.perf_counter() - began))
        return {"ms": sorted(times)[len(times) // 2], "runs": len(times)}


def main(kind, folder, device):
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer

    def answer(a):
        print(json.dumps(a), file=answers, flush=True)

    with torch.no_grad():
        try:
            peer = Peer(kind, folder, device)
            answer({"ready": True})
        except Exception as e:
            answer({"error": f"{type(e).__name__}: {e}"})
            raise
        for line in sys.stdin:
            try:
                answer(peer.do(json.loads(line)))
            except Exception as e:
                answer({"error": f"{type(e).__name__}: {e}"[:500]})


if __name__ == "__main__":
    main(*sys.argv[1:])
