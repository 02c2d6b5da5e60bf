"""Banking77: 77 intents of an online bank's customers, the published train and test split.

Ten per cent of train become validation; labels and texts are taken as published. Compare:
93.66 is a tuned BERT-base, 93.08 bge-small features with an SVM (their authors' figures).
"""

from __future__ import annotations

from benchmarks.building import arguments, data_folder, measure, settings_for, show


def main() -> None:
    """Build and print."""
    options = arguments(__doc__ or "", folder="banking77").parse_args()
    source = data_folder(options.data, "banking77")
    show([measure("Banking77", source, settings_for(options))])


if __name__ == "__main__":
    main()
