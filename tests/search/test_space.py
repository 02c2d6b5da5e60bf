"""A space is what ``--over`` says, and says wrong things in words that help."""

from __future__ import annotations

import tempfile
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailorbird.config import Settings, load_settings
from tailorbird.errors import ConfigError
from tailorbird.search.best import settings_toml, to_toml
from tailorbird.search.defaults import Facts, default_space, start_values
from tailorbird.search.space import (
    Dimension,
    combinations,
    n_combinations,
    parse,
    parse_space,
    value_of,
    with_values,
)

PLAIN = Settings()
FACTS = Facts("lora", 2e-3, 64, 3, 6, has_classes=True)

rates = st.floats(1e-9, 1e3, allow_nan=False)
whole = st.integers(1, 10**6)
texts = st.text("aB9_ ,.[]{}=\"'\\#\n\r\t\x00\x7f列é", max_size=12)
QUICK = settings(max_examples=50, deadline=None)


@st.composite
def dimensions(draw: st.DrawFn) -> Dimension:
    kind = draw(st.sampled_from(["floats", "wholes", "numbers", "words"]))
    if kind == "floats":
        low, high = sorted(draw(st.tuples(rates, rates).filter(lambda ends: ends[0] != ends[1])))
        return Dimension("tuning.learning_rate", low, high, is_log=draw(st.booleans()))
    if kind == "wholes":
        low_n, high_n = sorted(draw(st.tuples(whole, whole).filter(lambda e: e[0] != e[1])))
        step = draw(st.one_of(st.none(), st.integers(1, high_n - low_n)))
        last = high_n if step is None else low_n + (high_n - low_n) // step * step
        return Dimension("method.rank", low_n, last, step=step)
    if kind == "numbers":
        ranks = draw(st.lists(whole, min_size=2, max_size=5, unique=True))
        return Dimension("method.rank", choices=tuple(ranks))
    targets = draw(st.lists(texts, min_size=2, max_size=4, unique=True))
    return Dimension("method.targets", choices=tuple(targets))


@QUICK
@given(dimensions())
def test_what_is_written_is_read_back(dimension: Dimension) -> None:
    assert parse(str(dimension), PLAIN) == dimension


@QUICK
@given(dimensions())
def test_every_point_of_a_grid_may_be_tried_and_set(dimension: Dimension) -> None:
    grid = dimension.grid()[:50]
    for value in grid:
        assert dimension.contains(value)
        assert value_of(with_values(PLAIN, {dimension.key: value}), dimension.key) == value


@QUICK
@given(rates, rates, st.floats(0, 1))
def test_a_rounded_value_stays_in_its_range(one: float, other: float, share: float) -> None:
    low, high = min(one, other), max(one, other)
    value = min(high, max(low, low + share * (high - low)))
    assert low <= Dimension("tuning.learning_rate", low, high).rounded(value) <= high


@QUICK
@given(texts)
def test_any_text_is_a_text_again_in_toml(text: str) -> None:
    assert tomllib.loads(f"v = {to_toml(text)}")["v"] == text


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("method.rank=4,8,16", (4, 8, 16)),
        ("model.freeze_layers=2..5", (2, 3, 4, 5)),
        ("model.freeze_layers=default,0,2", ("default", 0, 2)),
        ("tuning.n_epochs=2..6:2", (2, 4, 6)),
        ("tuning.learning_rate=1e-4..1e-2:log", (0.0001, 0.000316, 0.001, 0.00316, 0.01)),
        ("loss.label_smoothing=0..0.25:0.1", (0.0, 0.1, 0.2)),
        ("method.dora=true,false", (True, False)),
        ("tuning.schedule=linear,cosine", ("linear", "cosine")),
        ('method.targets=["query,value", ""]', ("query,value", "")),
        ("optimizer.weight_decay=0,0.01", (0.0, 0.01)),
        ("tuning.batch_size=8..128:log", (8, 16, 32, 64, 128)),
    ],
)
def test_each_form_of_a_dimension(text: str, values: tuple[object, ...]) -> None:
    assert parse(text, PLAIN).grid() == values


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("method.rnak=4,8", "did you mean 'rank'?"),
        ("metod.rank=4,8", "did you mean 'method'?"),
        ("tuning.weight_decay=0,0.1", "set optimizer.weight_decay"),
        ("method.rank", "section.key=values"),
        ("method.rank=4", "nothing to choose"),
        ("method.rank=4,4", "nothing to choose"),
        ("method.rank=4..8.5", "must be of type int"),
        ("method.rank=8..4", "from 8 to 4"),
        ("method.rank=4..8:0.5", "use a whole number"),
        ("method.dropout=0..0.2:log", "magnitudes begin above 0"),
        ("method.dropout=0..0.2:1", "no step from 0.0 to 0.2"),
        ("tuning.schedule=linear,cosin", "is not one of constant, linear, cosine"),
        ("tuning.schedule=1..3", "is not one of"),
        ("method.targets=[1", "no TOML list"),
        ("split.seed=1,2", "decided before the first trial"),
        ("serving.port=1..9", "decided before the first trial"),
    ],
)
def test_what_cannot_be_searched_is_said_with_what_can(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, PLAIN)
    assert words in str(caught.value)


def test_a_setting_stands_once_in_a_space() -> None:
    with pytest.raises(ConfigError, match="given twice"):
        parse_space(["method.rank=4,8", "method.rank=2..5"], PLAIN)


def test_combinations_are_as_many_as_counted() -> None:
    space = parse_space(["method.rank=4,8", "model.freeze_layers=0..2"], PLAIN)
    found = combinations(space)
    assert len(found) == n_combinations(space) == 6
    assert found[1] == {"method.rank": 4, "model.freeze_layers": 1}


@pytest.mark.parametrize(
    "method", ["full", "lora", "adalora", "bottleneck", "prefix", "prompt", "head", "bitfit"]
)
def test_each_way_of_tuning_has_a_space_that_can_be_written(method: str) -> None:
    facts = Facts(method, 4e-4, 32, 4, 12, has_classes=True)
    space, reasons = default_space(facts, PLAIN)
    assert parse_space(map(str, space), PLAIN) == space
    assert len(reasons) == len(space)
    assert space[0].key == "tuning.learning_rate"
    assert (space[0].low, space[0].high) == (1e-4, 1.6e-3)


def test_what_is_set_is_not_searched() -> None:
    space, reasons = default_space(FACTS, load_settings(overrides=["method.rank=2"]))
    assert "method.rank" not in {dimension.key for dimension in space}
    assert "not searched: method.rank (as set)" in reasons


def test_the_first_trial_is_the_plan_where_the_space_has_it() -> None:
    space, _ = default_space(FACTS, PLAIN)
    assert start_values(space, FACTS, PLAIN) == {
        "tuning.learning_rate": 2e-3,
        "tuning.batch_size": 64,
        "method.rank": 8,
        "method.dropout": 0.0,
        "model.freeze_layers": 0,
        "loss.label_smoothing": 0.0,
    }
    assert start_values([Dimension("method.rank", 9, 12)], FACTS, PLAIN) == {}


@QUICK
@given(st.dictionaries(st.sampled_from(["lora", "full"]), whole, max_size=1))
def test_settings_come_back_from_their_toml(given_: dict[str, int]) -> None:
    wanted = load_settings(overrides=["split.ratio=8:1:1", 'reading.text="a \\" 列"'])
    for name, rank in given_.items():
        wanted = with_values(wanted, {"method.name": name, "method.rank": rank})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "best.toml"
        path.write_text(settings_toml(wanted), encoding="utf-8")
        assert load_settings(path) == wanted
