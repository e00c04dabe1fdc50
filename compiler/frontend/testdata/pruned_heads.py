"""Writes pruned_heads.json: what transformers 4 says of models it pruned itself.

    pip install "transformers<5" torch && python pruned_heads.py

Each model is pruned with prune_heads, saved, loaded again and asked for its
logits, a language model for those of the last token. Weights are not kept but
follow from the order of names and the shapes, exactly in float32: element k of
tensor i is ((37k + 11i + floor(k/7)) mod 97 - 48)/128, and 1 more in the
weights of norms.
"""

import json
import pathlib
import tempfile

import torch
import transformers
from safetensors.torch import load_file
from transformers import (
    BertConfig, BertForSequenceClassification, DistilBertConfig, DistilBertForSequenceClassification,
    GPT2Config, GPT2LMHeadModel, RobertaConfig, RobertaForSequenceClassification,
)

PRUNE = {0: [1], 1: [0, 2]}
ROWS = [[3, 2, 4], [2, 5, 9, 7, 6, 5, 3, 5], [8], [9, 7, 9, 3, 2, 3, 8, 4, 6, 2, 6, 4, 3]]  # 0 and 1 pad
BERT = dict(vocab_size=11, num_labels=3, hidden_size=12, num_hidden_layers=3, num_attention_heads=4, intermediate_size=10)
MODELS = [
    BertForSequenceClassification(BertConfig(**BERT, max_position_embeddings=16)),
    RobertaForSequenceClassification(RobertaConfig(**BERT, max_position_embeddings=18, type_vocab_size=2)),
    DistilBertForSequenceClassification(DistilBertConfig(
        vocab_size=11, num_labels=3, dim=12, n_layers=3, n_heads=4, hidden_dim=10, max_position_embeddings=16)),
    GPT2LMHeadModel(GPT2Config(vocab_size=11, n_embd=12, n_layer=3, n_head=4, n_inner=10, n_positions=16)),
]


def weights(i, name, shape):
    k = torch.arange(torch.Size(shape).numel())
    norm = name.endswith(".weight") and ("norm" in name.lower() or ".ln_" in name)
    return (((37 * k + 11 * i + k // 7) % 97 - 48) / 128 + norm).to(torch.float32).reshape(shape)


@torch.no_grad()
def golden(model):
    model.prune_heads(PRUNE)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        saved = load_file(folder + "/model.safetensors")
        config = json.loads(pathlib.Path(folder, "config.json").read_text())
        model = type(model).from_pretrained(folder).eval()
    shapes = {name: list(saved[name].shape) for name in sorted(saved)}
    for i, (name, shape) in enumerate(shapes.items()):
        model.state_dict()[name].copy_(weights(i, name, shape))
    logits = [model(torch.tensor([row])).logits[0] for row in ROWS]
    return {"config": config, "shapes": shapes, "logits": [(x if x.dim() == 1 else x[-1]).tolist() for x in logits]}


models = ",\n".join(json.dumps(golden(m)) for m in MODELS)
text = f'{{"transformers": "{transformers.__version__}", "rows": {ROWS}, "models": [\n{models}\n]}}\n'
pathlib.Path(__file__).with_suffix(".json").write_text(text)
