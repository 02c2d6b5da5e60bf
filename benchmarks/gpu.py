"""What the engine makes of a CUDA device: its share of the bf16 peak, and LoRA against PEFT.

- An encoder of 110M parameters (the shape of BERT-base), full fine-tuning in bf16: real tokens per
  second, as a share of the largest bf16 product that this device was seen to do (6 operations a
  token and weight of the layers); and Trainer's on the same rows, at its best.
- LoRA of a language model of 0.5B parameters (the shape of Qwen2-0.5B): ours and PEFT with
  Trainer, whose batches are laid out both ways, of which the faster counts.

Speed does not depend on what weights hold, so they are random, and so are the token ids; the
lengths are those of short texts (log-normal, about 48 tokens, 8 to 256) and of dialogues (about
256, 64 to 1,024). No data set is needed. Refuses to run without a CUDA device.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from benchmarks import ours
from benchmarks.chat_rows import ChatRow
from benchmarks.rounds import compare, show
from tailorbird.config import ModelSettings, Settings, TuningSettings
from tailorbird.modeling.packing import TokenizedTexts
from tailorbird.tuning import TuningRun
from tailorbird.tuning.tasks import EncodedExamples
from tailorbird.weights import BackboneFolder

N_LABELS = 77
N_WORDS = 30_522

ENCODERS: dict[str, dict[str, int]] = {
    "110M": {},  # BertConfig's own sizes
    "tiny": {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
    },
}
DECODERS: dict[str, dict[str, Any]] = {
    "0.5B": {
        "hidden_size": 896,
        "num_hidden_layers": 24,
        "num_attention_heads": 14,
        "num_key_value_heads": 2,
        "intermediate_size": 4864,
        "vocab_size": 151_936,
        "tie_word_embeddings": True,
    },
    "tiny": {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 64,
        "vocab_size": N_WORDS,
        "tie_word_embeddings": True,
    },
}
"""``tiny`` is for seeing that the code runs."""


def lengths(n_rows: int, *, middle: int, low: int, high: int, seed: int = 0) -> list[int]:
    """Log-normal lengths around *middle*, within *low* and *high*."""
    draw = random.Random(seed)
    drawn = (draw.lognormvariate(math.log(middle), 0.5) for _ in range(n_rows))
    return [min(high, max(low, round(length))) for length in drawn]


def token_rows(n_rows: int, *, middle: int, low: int, high: int) -> list[list[int]]:
    """Random ids of the language model's or the encoder's vocabulary, the same for all sides."""
    draw = random.Random(1)
    found = lengths(n_rows, middle=middle, low=low, high=high)
    return [[draw.randrange(5, N_WORDS) for _ in range(length)] for length in found]


def write_model(folder: Path, model: Any) -> BackboneFolder:
    """A random model in hub form, with a tokenizer that nothing is read with."""
    from tokenizers import Tokenizer, models

    model.save_pretrained(folder)
    words = {"[PAD]": 0, "[UNK]": 1}
    Tokenizer(models.WordLevel(words, unk_token="[UNK]")).save(str(folder / "tokenizer.json"))
    return BackboneFolder(folder, "random", model.config.model_type)


def encoder(folder: Path, size: str) -> BackboneFolder:
    """An encoder of the shape of BERT-base."""
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    sizes: dict[str, Any] = {"vocab_size": N_WORDS, **ENCODERS[size]}
    return write_model(folder, BertModel(BertConfig(**sizes), add_pooling_layer=False))


def decoder(folder: Path, size: str) -> BackboneFolder:
    """A causal language model of the shape of Qwen2-0.5B."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(0)
    return write_model(folder, Qwen2ForCausalLM(Qwen2Config(**DECODERS[size])))


def encoder_ours(options: argparse.Namespace) -> dict[str, float]:
    """Full fine-tuning by our loop."""
    ids = token_rows(options.rows, middle=48, low=8, high=256)
    settings = Settings(
        model=ModelSettings(freeze_layers=0, init_head="random"),
        tuning=TuningSettings(batch_size=options.batch_size),
    )
    labels = [str(i) for i in range(N_LABELS)]
    with tempfile.TemporaryDirectory() as folder:
        backbone = encoder(Path(folder), options.encoder)
        model, plan = ours.model_and_plan(
            len(ids), labels, backbone, settings, device=options.device
        )
    rows = EncodedExamples(TokenizedTexts.from_lists(ids), torch.arange(len(ids)) % N_LABELS)
    prepared = ours.Prepared(TuningRun(model, plan), rows)
    ours.warm_up(prepared)
    peak = ours.largest_product(device=options.device)
    speed = ours.n_tokens(rows) / ours.epoch_s(prepared)
    n_weights = ours.n_layer_weights(model)
    return {
        "tokens_per_s": speed,
        "peak_gflop_per_s": peak,
        "fraction_of_bf16_peak": 6e-9 * n_weights * speed / peak,
        "gpu_gib": gpu_gib(),
    }


def encoder_trainer(options: argparse.Namespace) -> dict[str, float]:
    """Full fine-tuning by Trainer at its best."""
    from transformers import AutoModelForSequenceClassification

    from benchmarks.trainer import BEST, NO_DROPOUT, seconds_of_epoch

    ids = token_rows(options.rows, middle=48, low=8, high=256)
    rows = [{"input_ids": row, "labels": i % N_LABELS} for i, row in enumerate(ids)]
    with tempfile.TemporaryDirectory() as folder:
        encoder(Path(folder), options.encoder)
        model = AutoModelForSequenceClassification.from_pretrained(
            folder, num_labels=N_LABELS, **NO_DROPOUT
        )
    settings = BEST | {"per_device_train_batch_size": options.batch_size, "seed": 0}
    seconds = seconds_of_epoch(model, _pad, rows, **settings)
    return {"tokens_per_s": sum(map(len, ids)) / seconds, "gpu_gib": gpu_gib()}


def _pad(features: Any) -> dict[str, torch.Tensor]:
    """Tensors (B, L) of ids and mask, filled up with 0, and labels (B,)."""
    longest = max(len(row["input_ids"]) for row in features)
    ids = torch.zeros(len(features), longest, dtype=torch.int64)
    mask = torch.zeros_like(ids)
    for i, row in enumerate(features):
        ids[i, : len(row["input_ids"])] = torch.tensor(row["input_ids"])
        mask[i, : len(row["input_ids"])] = 1
    labels = torch.tensor([row["labels"] for row in features])
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def chat_rows(options: argparse.Namespace) -> list[ChatRow]:
    """Dialogues of random ids, the last third of each the answer."""
    ids = token_rows(options.dialogues, middle=256, low=64, high=1024)
    return [ChatRow(row, [3 * i >= 2 * len(row) for i in range(len(row))]) for row in ids]


def recipe(options: argparse.Namespace, *, is_flat: bool = False) -> Any:
    """LoRA of rank 8 on all linear layers."""
    from benchmarks.chat_peer import Recipe

    return Recipe(1, options.chat_batch_size, 1e-4, is_flat=is_flat)


def lora_ours(options: argparse.Namespace) -> dict[str, float]:
    """LoRA by our loop."""
    from benchmarks import chat_ours

    with tempfile.TemporaryDirectory() as folder:
        backbone = decoder(Path(folder), options.decoder)
        rows = chat_rows(options)
        prepared = chat_ours.prepare(rows, backbone, recipe(options), device=options.device)
    ours.warm_up(prepared)
    speed = ours.n_tokens(prepared.train) / ours.epoch_s(prepared)
    return {"tokens_per_s": speed, "gpu_gib": gpu_gib()}


def lora_peft(options: argparse.Namespace, *, is_flat: bool = False) -> dict[str, float]:
    """LoRA by PEFT and Trainer."""
    from benchmarks import chat_peer

    how, rows = recipe(options, is_flat=is_flat), chat_rows(options)
    with tempfile.TemporaryDirectory() as folder:
        decoder(Path(folder), options.decoder)
        model = chat_peer.load_model(folder, how)
    clock = chat_peer.train(model, rows, how, pad_id=0)
    speed = sum(len(row.input_ids) for row in rows) / sum(clock.epochs_s)
    return {"tokens_per_s": speed, "gpu_gib": gpu_gib()}


def lora_peft_flat(options: argparse.Namespace) -> dict[str, float]:
    """The same without padding."""
    return lora_peft(options, is_flat=True)


def gpu_gib() -> float:
    """The most memory that tensors took on the device, in GiB."""
    return torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else 0.0


SIDES = {
    "encoder, ours": encoder_ours,
    "encoder, Trainer": encoder_trainer,
    "LoRA, ours": lora_ours,
    "LoRA, PEFT padded": lora_peft,
    "LoRA, PEFT flat": lora_peft_flat,
}


def result_of(medians: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """The figures of the last line."""
    speed = {name: row["tokens_per_s"] for name, row in medians.items()}
    peft = max(speed["LoRA, PEFT padded"], speed["LoRA, PEFT flat"])
    return {
        "fraction_of_bf16_peak": medians["encoder, ours"]["fraction_of_bf16_peak"],
        "lora_ratio_vs_peft": speed["LoRA, ours"] / peft,
        "ratio_vs_trainer": speed["encoder, ours"] / speed["encoder, Trainer"],
        "tokens_per_s": speed["encoder, ours"],
        "trainer_tokens_per_s": speed["encoder, Trainer"],
        "lora_tokens_per_s": speed["LoRA, ours"],
        "peft_tokens_per_s": peft,
    }


def arguments() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="not needed: the rows are made")
    parser.add_argument("--rows", type=int, default=12_800, help="texts")
    parser.add_argument("--dialogues", type=int, default=1280, help="of the language model")
    parser.add_argument("--batch-size", type=int, default=512, help="texts an update")
    parser.add_argument("--chat-batch-size", type=int, default=16, help="dialogues an update")
    parser.add_argument("--encoder", choices=ENCODERS, default="110M", help="size of the encoder")
    parser.add_argument("--decoder", choices=DECODERS, default="0.5B", help="of the LM")
    parser.add_argument("--device", default="cuda", help=argparse.SUPPRESS)  # cpu: to try it out
    return parser


def main() -> None:
    """Run the sides in turn and print them."""
    parser = arguments()
    options, _ = parser.parse_known_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit("benchmarks.gpu needs a CUDA device, and torch sees none here.")
    medians = compare(parser, SIDES, "benchmarks.gpu")
    if medians is not None:
        show(medians, result_of(medians))


if __name__ == "__main__":
    main()
