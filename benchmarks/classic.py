"""The textbook recipe against our defaults, on film reviews (`cad_imdb`, folder ``orig``).

`configs/classic.toml` goes over into the defaults one step at a time, so that the table says what
each difference is worth. All on one machine, with one backbone, on the published splits.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.building import arguments, data_folder, measure, settings_for, show
from tailorbird.config import Settings, load_settings, override_settings

CONFIG = Path(__file__).parents[1] / "configs" / "classic.toml"


def ladder() -> Iterator[tuple[str, Settings]]:
    """From the textbook to our defaults, one step at a time; each keeps the ones before."""
    textbook = load_settings(CONFIG)
    pooled = override_settings(textbook, ["model.pooling=mean", "model.init_head=features"])
    faster = override_settings(
        pooled, ["tuning.learning_rate=0", "tuning.batch_size=0", "tuning.patience=2"]
    )
    yield "textbook recipe", textbook
    yield "+ mean of all tokens, head from features", pooled
    yield "+ rate and batch by model and rows", faster
    yield "our defaults (+ longer inputs, no dropout within)", Settings()


def main() -> None:
    """Build each step and print them under each other."""
    parser = arguments(__doc__ or "", folder="cad_imdb")
    parser.add_argument("--sides-only", action="store_true", help="leave out the steps between")
    options = parser.parse_args()
    source = data_folder(options.data, "cad_imdb") / "orig"
    steps = list(ladder())
    if options.sides_only:
        steps = [steps[0], steps[-1]]
    rows = [measure(name, source, settings_for(options, base)) for name, base in steps]
    textbook, ours = rows[0], rows[-1]
    show(
        rows,
        textbook_accuracy=textbook.accuracy,
        textbook_macro_f1=textbook.macro_f1,
        textbook_train_s=textbook.train_s,
        gain_points=100 * (ours.accuracy - textbook.accuracy),
        speed_up=textbook.train_s / ours.train_s,
    )


if __name__ == "__main__":
    main()
