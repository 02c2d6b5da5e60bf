"""The pure parts of the comparisons: what the last line says, how rows are chosen and marked."""

from __future__ import annotations

import argparse
import gzip
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from benchmarks.chat_ours import encode
from benchmarks.chat_rows import ChatRow, encode_dialogue
from benchmarks.peers import MeanPooled, lora_targets
from benchmarks.rounds import MOST_COLUMNS, peak_gib, show
from benchmarks.sets import SETS, load_set, read_dialogues
from benchmarks.trainer import GroupedOrder, n_tokens, rows_for

from benchmarks import causal_sft, gpu, lora_throughput, scaling, time_to_accuracy, train_throughput
from tailorbird.config import MethodSettings
from tailorbird.modeling import adapters
from tailorbird.modeling.backbones import load_backbone
from tailorbird.testing import write_tiny_backbone


def write_gzip(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.write(text)


@pytest.mark.parametrize("n", [2, MOST_COLUMNS + 1])
def test_every_figure_of_every_side_can_be_read_in_the_table(
    n: int, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = {f"some_figure_{i}": 0.25 + i for i in range(n)}
    show({"ours": mine, "peer": {"some_figure_1": 7.5}}, {"ratio": 2.0})
    *table, _, last = capsys.readouterr().out.splitlines()
    for key, value in mine.items():
        assert any(key in line for line in table)
        assert any(f"{value:,.4g}" in line for line in table)
    assert json.loads(last)["ratio"] == 2.0


def test_validation_is_cut_from_train_and_the_test_part_is_left_alone(tmp_path: Path) -> None:
    for name, n in (("train", 50), ("test", 20)):
        rows = "\n".join(f"{name} {i},a" for i in range(n))
        path = tmp_path / "banking77" / f"{name}.csv"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"text,category\n{rows}\n", encoding="utf-8")
    train, validation, test = load_set("banking77", tmp_path)
    assert (len(train), len(validation), len(test)) == (45, 5, 20)
    assert not set(train.texts) & set(validation.texts)
    assert all(text.startswith("test") for text in test.texts)
    few = load_set("banking77", tmp_path, n_rows=10)
    assert [len(part) for part in few] == [10, 2, 2]
    assert few[0].texts == train.texts[:10]


def test_finfe_and_cluener_are_read_as_their_sources_write_them(tmp_path: Path) -> None:
    write_gzip(tmp_path / "dev.json.gz", json.dumps([["要涨", 2], ["要跌", 0]]))
    assert SETS["finfe"].test(tmp_path).targets == ["2", "0"]
    row = {"text": "浙商银行", "label": {"company": {"浙商银行": [[0, 3]]}}}
    write_gzip(tmp_path / "dev.json.gz", json.dumps(row) + "\n")
    rows = SETS["cluener"].test(tmp_path)
    ((start, end, kind),) = rows.targets[0]
    assert (rows.texts[0][start:end], kind) == ("浙商银行", "company")


def test_the_services_turns_are_the_assistants(tmp_path: Path) -> None:
    turns = [("USER", "A table for 2"), ("SYSTEM", "When?"), ("USER", "Never mind")]
    dialogue = {"turns": [{"speaker": who, "utterance": text} for who, text in turns]}
    write_gzip(tmp_path / "dialogues_001.json.gz", json.dumps([dialogue]))
    (read,) = read_dialogues(tmp_path)
    assert [turn["role"] for turn in read] == ["user", "assistant"]


class CharacterTokenizer:
    """One id a character, and a template with marks that end in a line end."""

    chat_template = None

    def __call__(self, text: str, **_: Any) -> dict[str, list[int]]:
        return {"input_ids": [ord(letter) for letter in text]}

    def apply_chat_template(
        self, turns: list[dict[str, str]], *, add_generation_prompt: bool, **_: Any
    ) -> str:
        text = "".join(f"<{turn['role'][0]}>{turn['content']}|\n" for turn in turns)
        return text + ("<a>" if add_generation_prompt else "")


def test_only_answers_and_their_end_are_learned() -> None:
    turns = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Yes?"},
        {"role": "user", "content": "Bye"},
        {"role": "assistant", "content": "Bye!"},
    ]
    row = encode_dialogue(CharacterTokenizer(), turns)
    text = "".join(map(chr, row.input_ids))
    assert text == "<u>Hi|\n<a>Yes?|\n<u>Bye|\n<a>Bye!|"
    said = "".join(c for c, yes in zip(text, row.is_answer, strict=True) if yes)
    assert said == "Yes?|Bye!|"
    assert row.n_answer == 10
    assert [label for label in row.labels if label >= 0] == [ord(c) for c in said]
    assert row.cut(12).n_answer == 2


def test_our_side_learns_the_very_tokens_that_the_peer_learns() -> None:
    rows = [ChatRow([7, 8, 9], [False, True, True]), ChatRow([5, 6], [True, True])]
    encoded = encode(rows)
    assert encoded.targets.tolist() == [8, 9, 6]  # nothing stands before the 5
    batch = encoded.batch([1, 0])
    assert batch.picked is not None
    seen_before = batch.token_ids[batch.picked].tolist()
    assert list(zip(seen_before, encoded.truth([1, 0]).targets.tolist(), strict=True)) == [
        (5, 6),
        (7, 8),
        (8, 9),
    ]


def test_grouped_order_sorts_whole_mega_batches_and_deals_every_row() -> None:
    lengths = [i % 17 + 1 for i in range(300)]
    order = list(GroupedOrder(lengths, 4, torch.Generator().manual_seed(0)))
    assert sorted(order) == list(range(300))
    first = [lengths[i] for i in order[1:200]]
    assert first == sorted(first, reverse=True)  # 50 batches of 4; the first place is the longest


def test_lora_of_the_peer_is_on_the_layers_that_ours_is_on(tmp_path: Path) -> None:
    encoder = load_backbone(write_tiny_backbone(tmp_path / "tiny"))
    attachment = adapters.attach(encoder, MethodSettings(name="lora", targets="query,ffn_out"))
    names = [place.removesuffix(".adapter") for place in attachment.places]
    theirs = [encoder.hub_name(f"{name}.weight").removesuffix(".weight") for name in names]
    assert sorted(lora_targets("query,ffn_out", 2)) == sorted(theirs)
    assert len(lora_targets("", 6, above=4)) == 12


class Echo(torch.nn.Module):
    """A backbone whose states are the ids, and which puts one row before each text."""

    class config:  # noqa: N801  # as transformers has it
        hidden_size = 2

    def forward(self, *, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
        states = torch.stack([input_ids, 0 * input_ids], -1).float()
        own = torch.cat([torch.full_like(states[:, :1], 99.0), states], 1)
        return argparse.Namespace(last_hidden_state=own)


def test_mean_pooled_head_sees_neither_padding_nor_the_rows_of_a_prompt() -> None:
    model = MeanPooled(Echo(), 2, dropout=0.0)
    torch.nn.init.eye_(model.head.weight)
    ids, mask = torch.tensor([[-3, 50, 50]]), torch.tensor([[1, 0, 0]])
    logits = model(ids, mask).logits
    assert logits.tolist()[0] == pytest.approx([-(2**0.5), 0.0])
    assert model(ids, mask, labels=torch.tensor([0])).loss.item() > 1


def test_rows_of_the_peer_are_cut_and_counted_without_padding() -> None:
    def tokenizer(texts: list[str], **options: Any) -> dict[str, list[list[int]]]:
        return {"input_ids": [[1] * min(len(text), options["max_length"]) for text in texts]}

    rows = rows_for(tokenizer, ["abc", "abcdef"], [0, 1], max_tokens=4)
    assert n_tokens(rows) == 7


def test_full_tuning_is_compared_with_the_fastest_of_trainers_settings() -> None:
    speeds = {"ours": 12.0, "Trainer as it comes": 1.0, "Trainer, bf16 grouped": 3.0}
    rows = {name: {"tokens_per_s": speed} for name, speed in speeds.items()}
    rows["ours"]["fraction_of_bf16_peak"] = 0.6
    result = train_throughput.result_of(rows | {"Trainer, tuned": {"tokens_per_s": 2.0}})
    assert (result["ratio_vs_trainer"], result["ratio_vs_trainer_best"]) == (12, 4)


def test_time_to_accuracy_says_when_its_ratio_is_a_lower_bound() -> None:
    ours = {"seconds": 50.0, "reached": 1.0, "test_accuracy": 0.93}
    peer = {"seconds": 500.0, "reached": 0.0, "test_accuracy": 0.91}
    result = time_to_accuracy.result_of({"ours": ours, "Trainer": peer})
    assert (result["seconds"], result["ratio_vs_trainer"]) == (50, 10)
    assert result["ratio_is_a_lower_bound"]
    late = time_to_accuracy.result_of({"ours": ours | {"reached": 0.0}, "Trainer": peer})
    assert not late["ratio_is_a_lower_bound"]


def test_gaps_of_lora_are_positive_where_peft_is_ahead() -> None:
    rows = {
        "ours": {"tokens_per_s": 10.0, "accuracy": 0.93},
        "ours, cached": {"tokens_per_s": 30.0, "accuracy": 0.92, "all_tokens_per_s": 20.0},
        "PEFT as it comes": {"tokens_per_s": 1.0},
        "PEFT, best": {"tokens_per_s": 2.0, "accuracy": 0.931},
        "PEFT, best, top 2": {"tokens_per_s": 5.0, "accuracy": 0.92},
    }
    result = lora_throughput.result_of(rows)
    assert (result["ratio_vs_peft"], result["ratio_cached_vs_peft"]) == (10, 30)
    assert (result["ratio_vs_peft_best"], result["ratio_cached_vs_peft_best"]) == (5, 15)
    assert result["ratio_cached_vs_peft_best_top2"] == 6
    assert result["gap_points"] == pytest.approx(0.1)
    assert result["gap_cached_points"] == pytest.approx(1.1)


def test_chat_is_compared_with_the_faster_way_of_the_peer() -> None:
    def row(speed: float, nll: float) -> dict[str, float]:
        return {"answer_tokens_per_s": speed, "nll": nll}

    rows = {"ours": row(30, 1.01), "PEFT, padded": row(10, 1.0), "PEFT, flat": row(5, 0.9)}
    rows["PEFT as it comes"] = row(6, 0.8)
    result = causal_sft.result_of(rows)
    assert (result["ratio_vs_peft_best"], result["is_nll_equal"]) == (3, True)
    assert result["ratio_vs_peft"] == 5
    worse = causal_sft.result_of(rows | {"ours": row(30, 1.03)})
    assert not worse["is_nll_equal"]


def test_scaling_draws_every_point_and_reads_rows_part_by_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = {
        name: {"tokens_per_s": 1.0 + i, "peak_gib": 2.0} for i, name in enumerate(scaling.SIDES)
    }
    assert scaling.series(rows, "batch", "peak_gib") == [(4, 2.0), (16, 2.0), (64, 2.0), (256, 2.0)]
    drawn = scaling.page(rows)
    assert drawn.count("<svg") == 6
    assert drawn.count("<circle") == 2 * len(scaling.SIDES)
    from tailorbird.modeling.tokens import load_tokenizer

    folder = write_tiny_backbone(tmp_path / "tiny")
    monkeypatch.setattr(scaling, "PART", 3)
    scaling.write_rows(tmp_path / "rows.jsonl", 7)
    read = scaling.stream_rows(tmp_path / "rows.jsonl", load_tokenizer(folder, max_tokens=64))
    at_once = load_tokenizer(folder, max_tokens=64)([text for text, _ in scaling.texts(7)])
    assert read.lengths == at_once.lengths
    assert read.tokens.flat.tolist() == at_once.flat.tolist()
    assert read.targets.tolist() == [target for _, target in scaling.texts(7)]


def test_gpu_refuses_in_one_sentence_without_a_device(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu"])
    with pytest.raises(SystemExit, match=r"^benchmarks\.gpu needs a CUDA device[^.]*\.$"):
        gpu.main()
    assert capsys.readouterr().out == ""


def test_lengths_for_the_gpu_are_within_bounds_and_the_same_each_time() -> None:
    drawn = gpu.lengths(1000, middle=48, low=8, high=256)
    assert drawn == gpu.lengths(1000, middle=48, low=8, high=256)
    assert 8 <= min(drawn) < max(drawn) <= 256
    assert sorted(drawn)[500] == pytest.approx(48, abs=4)


def test_peak_memory_is_that_of_this_process() -> None:
    assert 0 <= peak_gib() < 1000
