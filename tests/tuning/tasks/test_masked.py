"""Hidden words: whole ones, about 15 %, and a backbone that others can start from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForMaskedLM

from tailorbird.config import ModelSettings
from tailorbird.errors import WeightsError
from tailorbird.modeling import TextModel, build_model, load_model, save_model
from tailorbird.records import Example
from tailorbird.testing import write_tiny_backbone, write_tiny_decoder
from tailorbird.tuning import TuningRun, tune
from tailorbird.tuning.tasks import TASKS, encode_examples
from tailorbird.tuning.tasks.masked import chosen, word_places, words_of_tokens
from tailorbird.weights import resolve_backbone

ModelOf = Callable[..., TextModel]
TEXT = "where is my parcel now and when do you refund what i want quickly"


def built(folder: Path) -> TextModel:
    backbone = resolve_backbone(str(folder), cache=folder)
    return build_model(backbone, [], settings=ModelSettings(), spec=TASKS["masked"].spec)


def test_whole_words_are_hidden_about_15_percent_of_them(model_of: ModelOf) -> None:
    texts = [f"{TEXT} {n}" for n in range(200)]
    model = model_of("masked", [Example(t) for t in texts])
    rows = encode_examples(model, [Example(t) for t in texts])
    plain = model.tokenizer(texts)
    picked = rows.tokens.picked
    assert picked is not None
    assert 0.13 < picked.float().mean().item() < 0.16  # of the text; two tokens stand around it
    assert torch.equal(plain.flat[picked].long(), rows.targets)
    is_mask = rows.tokens.flat[picked] == model.tokenizer.mask_id
    assert is_mask.float().mean().item() == pytest.approx(0.8, abs=0.03)
    assert torch.equal(plain.flat[~picked], rows.tokens.flat[~picked])  # nothing else changed


def test_tokens_of_one_word_are_hidden_together() -> None:
    words = [[1, 2, 3], [4], [5, 6]]
    for seed in range(20):
        places = set(chosen(words, 20, np.random.default_rng(seed)))
        assert all(set(word) <= places or not set(word) & places for word in words)
        assert 1 <= len(places) <= 3


def test_chinese_words_are_those_of_a_dictionary() -> None:
    text = "净利润大幅增长"
    assert [text[a:b] for a, b in word_places(text)] == ["净利润", "大幅", "增长"]
    tokens = [(9, 0, 1), (9, 1, 3), (9, 3, 7)]
    assert words_of_tokens(tokens, text) == [[0, 1], [2]]


def test_a_text_that_comes_again_hides_other_words(model_of: ModelOf) -> None:
    rows = [Example(TEXT), Example(TEXT)]
    model = model_of("masked", rows)
    first, again = encode_examples(model, rows), encode_examples(model, rows)
    assert torch.equal(first.tokens.flat, again.tokens.flat)
    one, other = first.tokens.subset([0]), first.tokens.subset([1])
    assert one.picked is not None
    assert other.picked is not None
    assert not torch.equal(one.picked, other.picked)


def test_the_head_of_a_checkpoint_gives_its_logits(tmp_path: Path) -> None:
    write_tiny_backbone(tmp_path)
    config = BertConfig.from_pretrained(tmp_path)
    torch.manual_seed(1)
    theirs = BertForMaskedLM(config).eval()
    theirs.cls.predictions.bias.data.normal_()
    theirs.save_pretrained(tmp_path)
    model = built(tmp_path).eval()
    assert not model.head.is_fresh
    ids = torch.tensor([2, 9, 4, 11, 3])
    with torch.no_grad():
        expected = theirs(input_ids=ids[None]).logits[0]
        from tailorbird.modeling.packing import pack

        found = model.head(model.backbone(pack([ids])))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_a_fresh_head_knows_how_frequent_words_are(model_of: ModelOf) -> None:
    rows = [Example("aaa aaa aab")]
    model = model_of("masked", rows)
    assert model.head.is_fresh
    ids = [model.tokenizer.tokenizer.token_to_id(letter) for letter in "abc"]
    often, seldom, never = (model.head.bias[k].item() for k in ids)
    assert often > seldom > never


def test_what_was_pretrained_is_a_backbone_with_its_prefix(
    run_of: Callable[..., TuningRun], rows_of: Callable[[str], list[Example]], tmp_path: Path
) -> None:
    run, rows = run_of("masked", n_epochs=2), rows_of("masked")
    run.model.tokenizer.prefix = "query: "
    before = run.model.backbone.layers[0].query.weight.clone()
    encoded = encode_examples(run.model, rows)
    list(tune(run, encoded, encoded))
    tiny = write_tiny_backbone(tmp_path / "tiny")
    save_model(run.model, tmp_path / "more", backbone=tiny)
    found = resolve_backbone(str(tmp_path / "more"), cache=tmp_path)
    assert (found.query_prefix, found.pooling) == ("query: ", "")
    model = build_model(found, ["a", "b"], settings=ModelSettings())
    assert (model.pooling, model.tokenizer.prefix) == ("mean", "query: ")
    assert not torch.equal(model.backbone.layers[0].query.weight, before)
    again = built(tmp_path / "more")
    assert torch.equal(again.head.dense.weight, load_model(tmp_path / "more").head.dense.weight)


def test_a_decoder_is_refused(tmp_path: Path) -> None:
    write_tiny_decoder(tmp_path)
    with pytest.raises(WeightsError, match="no masked words"):
        built(tmp_path)


def test_a_fresh_head_starts_from_features_and_a_pretrained_one_stays(
    model_of: ModelOf, rows_of: Callable[[str], list[Example]]
) -> None:
    model, rows = model_of("masked"), rows_of("masked")
    encoded = encode_examples(model, rows)
    states = model.features(encoded.tokens)

    def share_right() -> float:
        with torch.inference_mode():
            guesses = model.head(states).argmax(-1)
        return (guesses == encoded.targets).float().mean().item()

    model.head.is_fresh = False
    before = model.head.dense.weight.clone()
    model.head.start_from_features(states, encoded.targets)
    assert torch.equal(model.head.dense.weight, before)
    model.head.is_fresh, new = True, share_right()
    model.head.start_from_features(states, encoded.targets)
    assert share_right() > new + 0.1
