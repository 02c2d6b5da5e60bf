"""Measuring a split: intervals, temperature, threshold, baselines, and the rows worth reading."""

import json
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailorbird.config import EvaluationSettings
from tailorbird.errors import DataError
from tailorbird.evaluation import (
    calibrate,
    choose_threshold,
    evaluate,
    examine,
    fit_temperature,
    measure_baselines,
)
from tailorbird.evaluation.intervals import bootstrap
from tailorbird.metrics import classification as metrics
from tailorbird.records import Example


def noisy(n_rows=2000, n_classes=5, *, sharpness=1.0, seed=0):
    """Logits whose softmax is the truth's own distribution, times *sharpness*."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (n_rows, n_classes))
    probs = np.exp(metrics.log_softmax(logits))
    targets = (probs.cumsum(axis=1) > rng.random((n_rows, 1))).argmax(axis=1)
    return logits * sharpness, targets


def test_temperature_undoes_a_known_overconfidence():
    logits, targets = noisy(20_000, sharpness=3.0)
    assert fit_temperature(logits, targets) == pytest.approx(3.0, rel=0.05)


def test_temperature_lowers_the_loss_and_the_calibration_error():
    logits, targets = noisy(sharpness=4.0)
    temperature = fit_temperature(logits, targets)
    report = evaluate("validation", logits, targets, list("abcde"), temperature=temperature)
    assert report.loss < metrics.nll(logits, targets)
    assert report.ece < 0.05 < report.ece_before


@given(st.floats(0.05, 20.0), st.integers(0, 1000))
def test_temperature_never_changes_a_prediction(temperature, seed):
    logits, _ = noisy(50, seed=seed)
    scaled = metrics.log_softmax(logits, temperature=temperature)
    assert (scaled.argmax(axis=1) == logits.argmax(axis=1)).all()


def test_temperature_of_perfect_logits_stays_within_its_bounds():
    assert 0.05 <= fit_temperature(np.eye(4) * 10, np.arange(4)) <= 20.0
    assert fit_temperature(np.zeros((4, 3)), [0, 1, 2, 0]) == 1.0


def test_temperature_of_always_wrong_logits_stays_within_its_bounds():
    assert fit_temperature(np.eye(4) * 10, [1, 2, 3, 0]) == pytest.approx(20.0, rel=1e-3)


@pytest.mark.parametrize("logits", [np.zeros((0, 3)), [[np.nan, 1.0]], [[np.inf, 1.0]]])
def test_temperature_refuses_logits_that_say_nothing(logits):
    with pytest.raises(ValueError, match="finite and have at least one row"):
        fit_temperature(logits, [0] * len(logits))


def test_threshold_turns_away_the_given_share():
    sure = np.arange(1, 101) / 100
    assert choose_threshold(sure, 0.05) == pytest.approx(0.055)
    assert (sure < choose_threshold(sure, 0.29)).sum() == 29
    assert choose_threshold(sure, 0.0) == 0.01


@pytest.mark.parametrize("noise", [-0.004, 0.004])
def test_no_row_changes_sides_by_the_rounding_of_its_score(noise):
    sure = np.array([0.3, 0.1, 0.2, 0.2, 0.5])
    line = choose_threshold(sure, 0.7)
    assert (sure + noise < line).tolist() == [False, True, True, True, False]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60), st.floats(0, 0.99))
def test_threshold_never_turns_away_more_than_allowed(sure, rate):
    turned_away = (np.array(sure) < choose_threshold(sure, rate)).mean()
    assert turned_away <= rate + 1e-9


def test_threshold_refuses_a_rate_outside_its_range():
    with pytest.raises(ValueError, match=r"outside \[0, 1\)"):
        choose_threshold([0.5], 1.0)


def test_calibration_gives_bins_before_and_after_and_the_rate_it_reached():
    logits, targets = noisy(sharpness=4.0)
    found = calibrate(logits, targets, settings=EvaluationSettings(false_alarm_rate=0.1)).to_json()
    assert found["false_alarm_rate"] == pytest.approx(0.1)
    assert sum(one["n"] for one in found["bins"]) == 2000
    assert found["bins_before"] != found["bins"]
    assert found["curve"][0] == {
        "threshold": 0.0,
        "kept": 1.0,
        "accuracy": metrics.accuracy(targets, logits.argmax(axis=1)),
    }
    json.dumps(found)


def test_interval_matches_resampling_rows_one_by_one():
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 6, 400)
    guess = np.where(rng.random(400) < 0.8, truth, rng.integers(0, 6, 400))
    counts = metrics.confusion(truth, guess, n_classes=6)
    rows = rng.integers(0, 400, (400, 400))
    for name, metric in {"accuracy": metrics.accuracy, "macro_f1": metrics.macro_f1}.items():
        interval = bootstrap(counts, name)
        slow = np.quantile([metric(truth[row], guess[row]) for row in rows], [0.025, 0.975])
        assert interval.value == pytest.approx(metric(truth, guess))
        assert (interval.low, interval.high) == pytest.approx(tuple(slow), abs=0.01)


def test_interval_of_a_class_absent_from_the_split_ignores_it():
    counts = np.array([[5, 0, 0], [0, 5, 0], [0, 0, 0]])
    assert bootstrap(counts, "macro_f1").value == 1.0


def test_interval_is_the_same_for_the_same_seed_and_narrows_with_more_rows():
    small, large = np.array([[40, 10], [10, 40]]), np.array([[4000, 1000], [1000, 4000]])
    assert bootstrap(small, "accuracy", seed=3) == bootstrap(small, "accuracy", seed=3)
    few, many = bootstrap(small, "accuracy"), bootstrap(large, "accuracy")
    assert many.high - many.low < (few.high - few.low) / 5


def test_a_thousand_resamples_of_ten_thousand_rows_and_77_classes_are_quick():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 77, 10_000)
    guess = np.where(rng.random(10_000) < 0.9, truth, rng.integers(0, 77, 10_000))
    counts = metrics.confusion(truth, guess, n_classes=77)
    began = time.process_time()
    bootstrap(counts, "macro_f1")
    # 0.4 s on a slow core; refitting scikit-learn would take about a minute.
    assert time.process_time() - began < 6.0


def test_perfect_logits_score_one():
    report = evaluate("test", np.eye(3) * 20, [0, 1, 2], ["a", "b", "c"])
    assert report.accuracy.value == report.macro_f1.value == 1.0
    assert report.loss < 1e-6
    assert report.confusion == ((1, 0, 0), (0, 1, 0), (0, 0, 1))


def test_report_of_a_split_can_be_written_as_json():
    logits, targets = noisy(100)
    report = evaluate("test", logits, targets, list("abcde"), baselines={"majority": {"a": 0.5}})
    back = json.loads(json.dumps(report.to_json()))
    assert back["accuracy"]["low"] <= back["accuracy"]["value"] <= back["accuracy"]["high"]
    assert back["per_class"][4]["label"] == "e"
    assert sum(map(sum, back["confusion"])) == back["n_rows"] == 100


@pytest.mark.parametrize(
    ("logits", "targets"),
    [(np.zeros((2, 3)), [0, 1]), (np.zeros((0, 2)), []), (np.zeros((3, 2)), [0, 1])],
)
def test_evaluation_refuses_shapes_that_do_not_fit(logits, targets):
    with pytest.raises(DataError, match=r"test split: logits of shape .* one column a label"):
        evaluate("test", logits, targets, ["a", "b"])


def test_evaluation_refuses_logits_that_are_not_numbers():
    with pytest.raises(DataError, match="not finite"):
        evaluate("test", [[np.nan, 0.0]], [0], ["a", "b"])


def test_worst_mistakes_come_first_and_languages_are_counted():
    texts = ["我要退款", "refund me", "你好", "hello there"]
    logits = np.array([[3.0, 0.0], [0.0, 9.0], [0.0, 3.0], [1.0, 0.0]])
    found = examine(texts, logits, [0, 0, 1, 1], ["refund", "greet"])
    assert [row["text"] for row in found["mistakes"]] == ["refund me", "hello there"]
    assert found["mistakes"][0]["true"] == "refund"
    assert found["mistakes"][0]["predicted"] == "greet"
    assert found["mistakes"][0]["confidence"] > 0.99
    assert found["slices"]["language"] == {
        "en": {"n": 2, "accuracy": 0.0},
        "zh": {"n": 2, "accuracy": 1.0},
    }


def shop(n_rows, seed):
    rng = np.random.default_rng(seed)
    words = {
        "refund": ["退款", "退钱", "refund", "money back"],
        "track": ["包裹", "快递", "parcel", "where is my order"],
    }
    rows = []
    for row in range(n_rows):
        label = "refund" if row % 3 else "track"
        rows.append(Example(f"{rng.choice(words[label])} {rng.integers(100)}", label))
    return rows


def test_baselines_beat_each_other_in_the_expected_order():
    found = measure_baselines(shop(120, 0), shop(60, 1), ["refund", "track"], seed=0)
    assert found["majority"]["accuracy"] == pytest.approx(2 / 3, abs=0.02)
    assert found["majority"]["macro_f1"] == pytest.approx(0.4, abs=0.02)
    assert found["tfidf_logreg"]["accuracy"] == 1.0
    assert found == measure_baselines(shop(120, 0), shop(60, 1), ["refund", "track"], seed=0)


def test_baselines_of_a_single_class_are_that_class():
    rows = [Example("退款", "refund")] * 3
    found = measure_baselines(rows, rows, ["refund"])
    assert found["tfidf_logreg"]["accuracy"] == found["majority"]["accuracy"] == 1.0


def test_baselines_survive_texts_without_any_word():
    rows = [Example("!?", "a"), Example("…", "b"), Example("", "a")]
    assert measure_baselines(rows, rows, ["a", "b"])["tfidf_logreg"]["accuracy"] == 1.0
    empty = [Example("", "a"), Example(" ", "b"), Example("", "b")]
    assert measure_baselines(empty, empty, ["a", "b"])["tfidf_logreg"]["accuracy"] == 2 / 3
