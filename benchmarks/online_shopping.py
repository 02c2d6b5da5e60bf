"""online_shopping_10_cats: is a Chinese shopping review content or not? 7:2:1 at random by --seed.

The set has no split of its own. Near duplicates are kept on one side, as in every build.
"""

from __future__ import annotations

from benchmarks.building import arguments, data_folder, measure, settings_for, show


def main() -> None:
    """Build and print."""
    options = arguments(__doc__ or "", folder="online_shopping_10_cats").parse_args()
    source = data_folder(options.data, "online_shopping_10_cats")
    settings = settings_for(options, reading_text="review", reading_label="label")
    show([measure("online_shopping_10_cats", source, settings)])


if __name__ == "__main__":
    main()
