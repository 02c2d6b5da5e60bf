"""Intents, and texts of no intent: Banking77, CLINC150, and Chinese beside English on xSID.

- Banking77 is built as `benchmarks.banking77` builds it, but with a soup: ``--soup`` models of
  different seeds, whose mean is served where it wins on validation. CLINC150 is, too.
- CLINC150 (`data_full`: 15,000 / 3,000 / 4,500 rows of 150 intents in scope) is built from its own
  splits. ``accuracy`` is that of the test rows in scope, whatever the scope score says of them;
  ``oos_recall`` is the share of the 1,000 test rows out of scope that are turned away, and
  ``oos_false_alarm`` that of the 4,500 in scope. The threshold is chosen on validation for
  ``--false-alarms``, below the goal: 3,000 rows tell such a share to a third of a point only.
  First no row out of scope is seen before the test; then the 100 of train and the 100 of validation
  teach the scope score (``…_with_oos_rows``). The weights of the network are the same both times.
- Beside it: the confidence of the same model with a threshold chosen in the same way, and TF-IDF
  with logistic regression and a threshold on its largest score.
- xSID: 300 sentences in both languages, five folds over the sentences, so that a sentence and its
  translation are never on two sides. E5 is tuned on both languages of four folds; the gap is the
  accuracy on English less that on Chinese, its interval a bootstrap over the sentences.
"""

from __future__ import annotations

import argparse
import gzip
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks import ours
from benchmarks.building import SCREEN, arguments, data_folder, measure, settings_for
from benchmarks.sets import Rows
from tailorbird import api, runs
from tailorbird.bundle import Bundle
from tailorbird.cli.display import Display
from tailorbird.config import Settings, override_settings
from tailorbird.evaluation import choose_threshold
from tailorbird.evaluation.gains import paired_gain
from tailorbird.hardware import processor
from tailorbird.records import SPLITS, Example

PARTS = {"train": "train", "validation": "val", "test": "test"}
"""Our splits → theirs."""
N_FOLDS = 5


@dataclass(frozen=True, slots=True)
class Turned:
    """What a way of telling does to the test rows of CLINC150."""

    accuracy: float
    oos_recall: float
    oos_false_alarm: float


def main() -> None:
    """Measure what --only names, or all; print."""
    options = _options()
    found: dict[str, float] = {}
    table = Table("", "accuracy", "OOS recall", "OOS false alarms", title=processor()["name"])
    if "banking77" in options.only:
        source = data_folder(options.data, "banking77")
        figures = measure("Banking77", source, settings_for(options, optimizer_soup=options.soup))
        found |= {"banking77_accuracy": figures.accuracy}
        found |= {"banking77_tfidf_accuracy": figures.baseline_accuracy or 0.0}
        table.add_row("Banking77", f"{figures.accuracy:.4f}", "", "")
    if "clinc150" in options.only:
        for name, turned in clinc150(options).items():
            key = f"clinc150{name and '_' + name}"
            ours_with = name == "with_oos_rows"
            for what in ("accuracy", "oos_recall", "oos_false_alarm"):
                label = f"clinc150_{what}_{name}" if ours_with else f"{key}_{what}"
                found[label] = getattr(turned, what)
            shares = (turned.accuracy, turned.oos_recall, turned.oos_false_alarm)
            table.add_row(key.replace("_", " "), *(f"{share:.4f}" for share in shares))
    if "xsid" in options.only:
        found |= xsid(options)
        table.add_row("xSID, English", f"{found['xsid_en_accuracy']:.4f}", "", "")
        table.add_row("xSID, Chinese", f"{found['xsid_zh_accuracy']:.4f}", "", "")
    Console(width=100).print(table)
    print(json.dumps(found | {"processor": processor()}, ensure_ascii=False))


def _options() -> argparse.Namespace:
    parser = arguments(__doc__ or "", folder="clinc150, and banking77 and xsid_zh_en beside it")
    sets = ("banking77", "clinc150", "xsid")
    parser.add_argument("--only", nargs="+", choices=sets, default=sets, help="some of the sets")
    parser.add_argument(
        "--false-alarms", type=float, default=0.03, help="allowed on validation rows in scope"
    )
    parser.add_argument("--soup", type=int, default=3, help="models of each set; 1: no soup")
    parser.add_argument("--rows", type=int, default=0, help="of a split, for a quick look; 0: all")
    return parser.parse_args()


def clinc150(options: argparse.Namespace) -> dict[str, Turned]:
    """Ours without (``""``) and with rows out of scope, and the peers; by name."""
    rows = read_clinc(data_folder(options.data, "clinc150"), n_most=options.rows)
    settings = settings_for(
        options,
        evaluation_false_alarm_rate=options.false_alarms,
        optimizer_soup=options.soup,
    )
    settings = replace(settings, evaluation=replace(settings.evaluation, baselines=False))
    SCREEN.rule("CLINC150")
    with tempfile.TemporaryDirectory(prefix="tailorbird-") as name:
        folder = Path(name)
        write_logs(folder / "clinc150.jsonl", {split: rows[split] for split in SPLITS})
        display = Display()
        with api.open_workspace(folder / "workspace") as workspace:
            try:
                bundle = api.build(
                    str(folder / "clinc150.jsonl"), workspace, settings, listener=display
                )
                assert bundle is not None  # nobody asked it to stop
                found = {"": turned_by(bundle, rows), "confidence": by_confidence(bundle, rows)}
                run = workspace.run()
                strange = {split: _examples(rows[f"oos_{split}"]) for split in SPLITS[:2]}
                runs.write_examples(run, strange, runs.OUTSIDE)
                api.evaluate(run, settings, say=display.say, again=True)
                taught = api.bundle(run, workspace, settings, say=display.say)
                found["with_oos_rows"] = turned_by(taught, rows)
            finally:
                display.close()
    return found | {"tfidf": by_words(rows, options.false_alarms)}


def read_clinc(folder: Path, *, n_most: int = 0) -> dict[str, Rows]:
    """Rows by our split, and out of scope by ``oos_`` and our split; at most *n_most* of each."""
    with gzip.open(folder / "data_full.json.gz", "rt", encoding="utf-8") as file:
        whole = json.load(file)
    names = PARTS | {f"oos_{ours}": f"oos_{theirs}" for ours, theirs in PARTS.items()}
    found = {}
    for name, theirs in names.items():
        rows = whole[theirs]
        step = max(1, len(rows) // n_most) if n_most else 1
        found[name] = Rows([row[0] for row in rows][::step], [row[1] for row in rows][::step])
    return found


def write_logs(path: Path, splits: Mapping[str, Rows]) -> None:
    """Rows as logs of one JSON object a line, with the split they are of."""
    with path.open("w", encoding="utf-8") as file:
        for split, rows in splits.items():
            for text, intent in zip(rows.texts, rows.targets, strict=True):
                row = {"text": text, "intent": intent, "split": split}
                file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _examples(rows: Rows) -> list[Example]:
    return [Example(text, label) for text, label in zip(rows.texts, rows.targets, strict=True)]


def turned_by(bundle: Bundle, rows: Mapping[str, Rows]) -> Turned:
    """What is served: intents as they are, and whether they are in scope."""
    inside, outside = (bundle.predict(rows[name].texts) for name in ("test", "oos_test"))
    right = [one.intent == label for one, label in zip(inside, rows["test"].targets, strict=True)]
    return Turned(
        float(np.mean(right)),
        float(np.mean([not one.in_scope for one in outside])),
        float(np.mean([not one.in_scope for one in inside])),
    )


def by_confidence(bundle: Bundle, rows: Mapping[str, Rows]) -> Turned:
    """The same model without a scope score: the confidence and its threshold."""
    return turned_by(replace(bundle, scope=None), rows)


def by_words(rows: Mapping[str, Rows], false_alarms: float) -> Turned:
    """TF-IDF of words, pairs of words and parts of words; a threshold on the largest score."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import SGDClassifier
    from sklearn.pipeline import make_union

    counted: dict[str, Any] = {"sublinear_tf": True, "min_df": 2}
    features = make_union(
        TfidfVectorizer(ngram_range=(1, 2), **counted),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), **counted),
    )
    train = rows["train"]
    model = SGDClassifier(loss="log_loss", alpha=0.1 / len(train), max_iter=10, tol=None)
    model.fit(features.fit_transform(train.texts), train.targets)

    def scores(name: str) -> NDArray[np.float64]:
        return np.asarray(model.decision_function(features.transform(rows[name].texts)))

    test = scores("test")
    line = choose_threshold(scores("validation").max(axis=1), false_alarms)
    return Turned(
        float(np.mean(model.classes_[test.argmax(axis=1)] == np.array(rows["test"].targets))),
        float(np.mean(scores("oos_test").max(axis=1) < line)),
        float(np.mean(test.max(axis=1) < line)),
    )


def xsid(options: argparse.Namespace) -> dict[str, float]:
    """Accuracy by language, and the gap with its interval, over all folds."""
    SCREEN.rule("xSID, English and Chinese")
    folder = data_folder(options.data, "xsid_zh_en")
    english, chinese = (read_xsid(folder / f"{name}.valid.conll") for name in ("en", "zh"))
    settings = settings_for(options)
    order = np.random.default_rng(options.seed).permutation(len(english))
    if options.rows:
        order = order[: options.rows]
    right: dict[str, list[float]] = {"en": [], "zh": []}
    for fold in range(N_FOLDS):
        held = order[fold::N_FOLDS].tolist()
        rest = sorted(set(order.tolist()) - set(held))
        model = tuned(joined(english.take(rest), chinese.take(rest)), settings)
        for name, rows in (("en", english), ("zh", chinese)):
            right[name] += hits(model, rows.take(held))
        SCREEN.print(f"fold {fold + 1} of {N_FOLDS} is done")
    gap = paired_gain(right["en"], right["zh"], seed=options.seed)
    return {
        "xsid_en_accuracy": gap.candidate,
        "xsid_zh_accuracy": gap.current,
        "xsid_zh_en_gap": gap.gain.value,
        "xsid_zh_en_gap_low": gap.gain.low,
        "xsid_zh_en_gap_high": gap.gain.high,
    }


def read_xsid(path: Path) -> Rows:
    """Texts and intents, from the comments before each sentence."""
    said: dict[str, list[str]] = {"text": [], "intent": []}
    for line in path.read_text(encoding="utf-8").splitlines():
        key, equals, value = line.removeprefix("#").partition("=")
        if line.startswith("#") and equals and key.strip() in said:
            said[key.strip()].append(value.strip())
    return Rows(said["text"], list(said["intent"]))


def joined(first: Rows, second: Rows) -> Rows:
    """All rows of both."""
    return Rows(first.texts + second.texts, first.targets + second.targets)


def tuned(train: Rows, settings: Settings) -> Any:
    """E5 tuned on *train* as our plan says, to its last epoch: no rows are left to validate on."""
    labels = sorted(set(train.targets))
    settings = override_settings(settings, ["model.backbone=e5"])
    prepared = ours.prepare(train, labels, ours.backbone("e5"), settings)
    ours.epochs(prepared, prepared.run.plan.n_epochs)
    return prepared.model


def hits(model: Any, rows: Rows) -> list[float]:
    """1 for each row whose likeliest label is its own, else 0."""
    best: Sequence[int] = model.logits(rows.texts).argmax(-1).tolist()
    return [float(model.labels[i] == label) for i, label in zip(best, rows.targets, strict=True)]


if __name__ == "__main__":
    main()
