"""The report page: one file, no request, hostile texts harmless, missing sections left out."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from tailorbird.evaluation import calibrate, evaluate, examine, write_report
from tailorbird.evaluation.heat_map import confused_pairs, heat_map, neighbours_first
from tailorbird.evaluation.plots import Dot, dot_plot, element, ticks
from tailorbird.evaluation.words import WORDS, both

LABELS = ("refund", "track_order", "退货")
HOSTILE = "<script>alert('x')</script><img src=x onerror=alert(1)> \"'&"


def measured(labels=LABELS, *, n_rows=120, seed=0, noise=1.5):
    rng = np.random.default_rng(seed)
    targets = np.arange(n_rows) % len(labels)
    logits = np.eye(len(labels))[targets] * 4 + rng.normal(0, noise, (n_rows, len(labels)))
    return logits, targets


def full_report(text="我的包裹怎么还没到？", labels=LABELS, **options):
    logits, targets = measured(labels, **options)
    calibration = calibrate(logits, targets)
    baselines = {
        "majority": {"accuracy": 1 / 3, "macro_f1": 1 / 6},
        "tfidf_logreg": {"accuracy": 0.5312, "macro_f1": 0.5123},
    }
    test = evaluate(
        "test", logits, targets, labels, temperature=calibration.temperature, baselines=baselines
    )
    steps = [{"event": "step", "step": k, "loss": 1.0 / k, "metrics": {}} for k in range(1, 30)] + [
        {
            "event": "validation",
            "step": k,
            "loss": 1.1 / k,
            "metrics": {"accuracy": 0.9, "macro_f1": 0.8},
        }
        for k in (10, 20)
    ]
    return {
        "run": {
            "name": "spring shop",
            "created": "2026-03-14T09:26:53+00:00",
            "version": "0.1.0",
            "seed": 7,
            "source": "logs/shop.jsonl",
        },
        "decisions": ["backbone: e5 (31 % of the characters are Chinese)", "3 rows were odd"],
        "data": {
            "read": {"n_rows": 1234, "n_read": 1230, "n_rejected": 4},
            "clean": {
                "n_out": 1200,
                "steps": [
                    {
                        "name": "markup",
                        "n_dropped": 0,
                        "n_changed": 31,
                        "examples": [[text, "after"]],
                    },
                    {"name": "a new step", "n_dropped": 0, "n_changed": 0, "examples": []},
                ],
                "missing": {"user": 17, "time": 0},
                "conflicts": [[text, ["refund", "退货"]]],
                "decisions": ["near duplicates: kept one of each"],
            },
            "split": {"n_rows": {"train": 840, "validation": 240, "test": 120}, "decisions": []},
        },
        "tuning": {
            "curve": steps,
            "settings": {"n_epochs": 3},
            "train_s": 75.0,
            "tokens_per_s": 2280.4,
            "n_parameters": 22_713_600,
            "n_trainable": 10_646_784,
            "best_step": 20,
            "backbone": "minilm",
        },
        "validation": test.to_json() | {"split": "validation"},
        "test": test.to_json(),
        "calibration": calibration.to_json(),
        "processor": {"name": "a processor", "n_cores": 2, "gpu": None},
    } | examine([text] * len(targets), logits, targets, labels)


def written(tmp_path, report):
    write_report(tmp_path, report)
    return (tmp_path / "report.html").read_text(encoding="utf-8")


class Page(HTMLParser):
    """What a browser would make of the page: elements with attributes, and its text."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.texts, self.open = [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self.open.append(tag)

    def handle_endtag(self, tag):
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data):
        if not {"style", "script"} & set(self.open[-1:]):
            self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def test_page_shows_the_figures_of_the_json(tmp_path):
    page = Page(written(tmp_path, full_report()))
    test = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["test"]
    for interval in (test["accuracy"], test["macro_f1"]):
        for value in interval.values():
            assert f"{value * 100:.1f}%" in page.text
    for row in test["per_class"]:
        assert f"{row['f1'] * 100:.1f}%" in page.text
    assert f"{test['loss']:.3f}" in page.text
    assert "53.1%" in page.text  # the word-counting baseline
    assert "1,234" in page.text  # the rows that were read
    assert "1 min 15 s" in page.text
    assert "2026-03-14 09:26 UTC" in page.text


def test_page_makes_no_request(tmp_path):
    html = written(tmp_path, full_report())
    page = Page(html)
    for tag, attributes in page.elements:
        for name in ("src", "href", "action", "srcset", "data", "poster"):
            target = attributes.get(name)
            assert target is None or target.startswith(("#", "data:")), (tag, name, target)
    assert not re.search(
        r"url\(|@import|//[a-z]", "".join(re.findall("<style>(.*?)</style>", html, re.S))
    )
    assert "fetch(" not in html
    assert "XMLHttpRequest" not in html
    policy = next(m["content"] for m in page.all("meta") if "http-equiv" in m)
    assert policy.startswith("default-src 'none'")
    assert "'unsafe-inline'" not in policy.split("script-src")[1].split(";")[0]


def test_policy_allows_exactly_the_script_of_the_page(tmp_path):
    import base64
    import hashlib

    html = written(tmp_path, full_report())
    (script,) = re.findall("<script>(.*?)</script>", html, re.S)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in html


def test_hostile_texts_are_shown_and_never_run(tmp_path):
    report = full_report(HOSTILE, labels=("a<b>", HOSTILE, "c"))
    report["run"]["name"] = report["run"]["source"] = HOSTILE
    report["decisions"] = [HOSTILE, f"x: {HOSTILE}"]
    report["processor"] = {HOSTILE: HOSTILE}
    report["test_openings"] = [{"time": HOSTILE, "purpose": HOSTILE}] * 2
    report["tuning"]["backbone"] = HOSTILE
    page = Page(written(tmp_path, report))
    assert len(page.all("script")) == 1
    assert page.all("img") == []
    assert not [a for _, a in page.elements if any(name.startswith("on") for name in a)]
    assert "<script>alert('x')</script>" in page.text


@pytest.mark.parametrize(
    "key",
    [
        "run",
        "decisions",
        "data",
        "tuning",
        "validation",
        "calibration",
        "mistakes",
        "slices",
        "processor",
    ],
)
def test_a_missing_section_is_left_out(tmp_path, key):
    report = full_report()
    del report[key]
    assert "</html>" in written(tmp_path, report)


def test_the_test_figures_alone_make_a_page(tmp_path):
    report = {"test": full_report()["test"] | {"baselines": {}}}
    page = Page(written(tmp_path, report))
    ids = {attributes.get("id") for attributes in page.all("section")}
    assert ids == {"figures", "confusion", "classes"}


def test_sections_whose_parts_are_missing_are_left_out(tmp_path):
    report = full_report()
    report["tuning"] = {"curve": [], "settings": {}}
    report["calibration"] = {"temperature": 1.0, "threshold": 0.5, "bins": []}
    report["data"] = {"read": None, "clean": {}, "split": {}}
    page = Page(written(tmp_path, report))
    ids = {attributes.get("id") for attributes in page.all("section")}
    assert not ids & {"learning", "calibration", "threshold", "data"}


@pytest.mark.parametrize("n_validations", [0, 1])
def test_a_run_with_few_validations_still_has_its_curves(tmp_path, n_validations):
    report = full_report()
    rows = report["tuning"]["curve"]
    report["tuning"]["curve"] = rows[: 29 + n_validations]
    page = Page(written(tmp_path, report))
    drawn = {attributes.get("aria-labelledby") for attributes in page.all("svg")}
    assert "plot-loss" in drawn
    assert ("plot-metrics" in drawn) == (n_validations > 0)


def test_numbers_that_are_not_finite_become_null(tmp_path):
    report = full_report()
    report["tuning"]["curve"][3]["loss"] = float("nan")
    report["tuning"]["tokens_per_s"] = np.float32("inf")
    html = written(tmp_path, report)
    text = (tmp_path / "report.json").read_text(encoding="utf-8")
    assert json.loads(text)["tuning"]["curve"][3]["loss"] is None
    assert "NaN" not in text + html.split("<script>")[0]
    assert "Infinity" not in text


def test_chinese_stays_text_and_both_languages_are_there(tmp_path):
    html = written(tmp_path, full_report())
    assert "我的包裹怎么还没到？" in html
    assert "\\u" not in (tmp_path / "report.json").read_text(encoding="utf-8")
    svg_texts = re.findall(r"<text[^>]*>(.*?)</text>", html, re.S)
    assert any("退货" in text for text in svg_texts)
    assert '<span class="zh" lang="zh">混淆</span>' in html
    assert '<span class="en" lang="en">Confusions</span>' in html


def test_half_a_surrogate_pair_does_not_stop_the_report(tmp_path):
    assert "</html>" in written(tmp_path, full_report("broken \ud83d emoji"))


def test_every_drawing_names_the_element_that_describes_it(tmp_path):
    page = Page(written(tmp_path, full_report()))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    drawings = [a for a in page.all("svg") if a.get("role") == "img"]
    assert len(drawings) == 8
    assert len(ids) == len(set(ids))
    for attributes in drawings:
        assert attributes["aria-labelledby"] in ids
    for table_heading in page.all("th"):
        assert table_heading["scope"] in ("col", "row")


def test_second_look_at_the_test_split_is_said_at_the_top(tmp_path):
    report = full_report()
    report["test_openings"] = [{"time": "2026-03-14T09:26:53+00:00", "purpose": "evaluate"}]
    assert "was opened" not in written(tmp_path, report)
    report["test_openings"] *= 2
    assert "The test split was opened 2 times" in Page(written(tmp_path, report)).text


@pytest.mark.parametrize(
    ("rival", "sentence"),
    [
        (0.10, "beyond what chance explains"),
        (0.66, "which chance could explain"),
        (0.70, "Exactly as good as counting words"),
        (0.95, "points below counting words"),
    ],
)
def test_comparison_with_the_baseline_is_honest(tmp_path, rival, sentence):
    report = full_report()
    report["test"]["accuracy"] = {"value": 0.70, "low": 0.65, "high": 0.75}
    report["test"]["baselines"]["tfidf_logreg"]["accuracy"] = rival
    assert sentence in Page(written(tmp_path, report)).text


def test_perfect_accuracy_does_not_promise_perfection(tmp_path):
    logits, targets = measured(noise=0.0, n_rows=150)
    report = {"test": evaluate("test", logits, targets, LABELS).to_json()}
    page = Page(written(tmp_path, report))
    assert "up to 2.0% of new texts may still go wrong" in page.text
    assert "No text was taken for another class." in page.text


@pytest.mark.parametrize("n_classes", [2, 16, 77, 150])
def test_heat_map_draws_every_class_count_that_is_not_zero(n_classes):
    rng = np.random.default_rng(0)
    counts = np.diag(np.full(n_classes, 9)) + (rng.random((n_classes, n_classes)) < 0.02)
    labels = [f"类别_{k}" for k in range(n_classes)]
    page = Page(heat_map(counts, labels, label="here"))
    cells = [a for a in page.all("rect") if "data-tip" in a]
    assert len(cells) == np.count_nonzero(counts)
    assert ("类别_1" in page.text) == (n_classes <= 24)


def test_confused_classes_become_neighbours():
    counts = np.diag([9] * 6)
    counts[0, 5] = counts[5, 0] = 4
    order = neighbours_first(counts)
    assert sorted(order) == list(range(6))
    assert abs(order.index(0) - order.index(5)) == 1


def test_most_confused_pairs_come_worst_first():
    pairs = confused_pairs(np.array([[7, 3, 0], [0, 9, 1], [3, 0, 1]]), ["a", "b", "c"])
    assert [(p["true"], p["predicted"], p["n"]) for p in pairs] == [
        ("c", "a", 3),
        ("a", "b", 3),
        ("b", "c", 1),
    ]
    assert pairs[0]["share"] == 0.75


def test_dot_far_below_is_an_arrow_and_keeps_its_number():
    rows = [
        Dot(both("this_model"), 0.93, "right", 0.92, 0.94),
        Dot(both("majority"), 0.01, "plain"),
    ]
    page = Page(dot_plot([rows[0], rows[0], rows[1]], label="here"))
    assert len(page.all("circle")) == 2
    assert len(page.all("path")) == 1
    assert "1.0%" in page.text


def test_ticks_are_round_and_within_the_range():
    assert ticks(0.0, 600.0) == [0.0, 200.0, 400.0, 600.0]
    assert ticks(0.913, 0.934) == pytest.approx([0.915, 0.92, 0.925, 0.93])
    assert ticks(3.0, 3.0) == [3.0]


def test_element_escapes_texts_and_attributes():
    assert element("text", "a<b", data_tip='"') == '<text data-tip="&#34;">a&lt;b</text>'


def test_every_text_of_the_page_is_in_both_languages():
    for key, (english, chinese) in WORDS.items():
        placeholders = re.findall(r"{\w+}", english)
        assert sorted(placeholders) == sorted(re.findall(r"{\w+}", chinese)), key
        assert english, key
        assert chinese, key


def test_every_text_is_used():
    from tailorbird.evaluation.frame import TEMPLATES

    names = ("frame.html", "parts.html", "report.html", "../sections.py")
    sources = "".join(TEMPLATES.joinpath(name).read_text(encoding="utf-8") for name in names)
    named_by_data = {"train", *(key for key in WORDS if key.startswith("step "))}
    unused = {key for key in WORDS if f'"{key}"' not in sources} - named_by_data
    assert unused == set()
