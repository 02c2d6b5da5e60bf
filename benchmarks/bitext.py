"""Bitext customer service: 27 intents, the published train, dev and test split.

The sentences come from templates, so a figure near 1 says that nothing is broken, and little more.
"""

from __future__ import annotations

from benchmarks.building import arguments, data_folder, measure, settings_for, show


def main() -> None:
    """Build and print."""
    options = arguments(__doc__ or "", folder="bitext_customer_service").parse_args()
    source = data_folder(options.data, "bitext_customer_service")
    settings = settings_for(options, reading_text="utterance", reading_label="intent")
    show([measure("Bitext customer service", source, settings)])


if __name__ == "__main__":
    main()
