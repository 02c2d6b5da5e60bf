"""The tuning loop without Tailorbird's engine: transformers, torch and nothing clever.

Read this first, then `tailorbird/tuning/loop.py`. Batches here are padded, the model is the one of
transformers, and everything stands in one function, yet the losses are the library's: a test
compares them, step by step. What the library adds is speed, checkpoints and reports.

    python examples/minimal_loop.py path/to/a/bert/folder
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

import torch
from torch.nn import functional as F
from transformers import AutoModel, AutoTokenizer

from tailorbird.data.batching import epoch_batches


def losses(
    folder: str, texts: Sequence[str], targets: Sequence[int], *, rate: float, n_epochs: int = 2
) -> Iterator[float]:
    """Tune the BERT in *folder* on *texts*; yields the loss of each step, before its update."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder, add_pooling_layer=False).train()
    words = model.get_input_embeddings()
    words.sparse = True  # its gradient holds only the rows of this batch
    n_classes, width, batch_size = max(targets) + 1, model.config.hidden_size, 8
    torch.manual_seed(0)
    head = torch.nn.Linear(width, n_classes)
    torch.nn.init.normal_(head.weight, std=0.02)
    torch.nn.init.zeros_(head.bias)

    # AdamW; decay for matrices alone; the new head moves twice as fast; sparse Adam for the words.
    dense = [p for p in model.parameters() if p is not words.weight]
    matrices, vectors = [p for p in dense if p.ndim > 1], [p for p in dense if p.ndim == 1]
    groups = [
        {"params": matrices, "peak": rate, "weight_decay": 0.01},
        {"params": vectors, "peak": rate, "weight_decay": 0.0},
        {"params": [head.weight], "peak": 2 * rate, "weight_decay": 0.01},
        {"params": [head.bias], "peak": 2 * rate, "weight_decay": 0.0},
    ]
    adam = torch.optim.AdamW(groups)
    sparse_adam = torch.optim.SparseAdam([{"params": [words.weight], "peak": rate}])

    lengths = [len(ids) for ids in tokenizer(list(texts))["input_ids"]]
    plan = [b for e in range(n_epochs) for b in epoch_batches(lengths, batch_size, seed=0, epoch=e)]
    n_warmup = round(0.1 * len(plan))
    for step, rows in enumerate(plan):
        batch = tokenizer([texts[i] for i in rows], padding=True, return_tensors="pt")
        states = model(**batch).last_hidden_state  # (B, L, D)
        mask = batch["attention_mask"][..., None]  # (B, L, 1)
        pooled = (states * mask).sum(1) / mask.sum(1)  # (B, D), the mean of real tokens
        logits = head(width**0.5 * F.normalize(pooled, dim=-1))  # (B, C)
        loss = F.cross_entropy(logits, torch.tensor([targets[i] for i in rows]))
        yield loss.item()
        loss.backward()
        words.weight.grad = words.weight.grad.coalesce()
        gradients = [p.grad for p in (*dense, *head.parameters())] + [words.weight.grad.values()]
        norm = torch.linalg.vector_norm(torch.stack([g.norm() for g in gradients]))
        for gradient in gradients if norm > 1 else ():
            gradient.mul_(1 / (norm + 1e-6))
        falling = 1 - (step - n_warmup) / max(1, len(plan) - n_warmup)
        factor = (step + 1) / n_warmup if step < n_warmup else falling
        for optimizer in (adam, sparse_adam):
            for group in optimizer.param_groups:
                group["lr"] = factor * group["peak"]
            optimizer.step()
            optimizer.zero_grad()


if __name__ == "__main__":
    questions = {"where is parcel {}": 0, "refund order {}": 1, "hello from {}": 2}
    rows = [(q.format(i), target) for i in range(16) for q, target in questions.items()]
    for loss in losses(sys.argv[1], *zip(*rows, strict=True), rate=1e-4):
        print(f"{loss:.4f}")
