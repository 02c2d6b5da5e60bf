"""The test split is touched once."""

from datetime import UTC, datetime

import pytest

from tailorbird.errors import DataError
from tailorbird.evaluation import open_test_once


def noon(day):
    return lambda: datetime(2026, 3, day, 12, 0, tzinfo=UTC)


def test_first_look_is_noted_with_time_and_purpose(tmp_path):
    with open_test_once(tmp_path, "build", now=noon(1)) as openings:
        assert openings == [{"time": "2026-03-01T12:00:00+00:00", "purpose": "build"}]
    assert "build" in (tmp_path / "test_opened.json").read_text(encoding="utf-8")


def test_second_look_is_refused_and_says_when_the_first_was(tmp_path):
    with open_test_once(tmp_path, "build", now=noon(1)):
        pass
    with (
        pytest.raises(
            DataError, match=r"already opened on 2026-03-01T12:00 for build; pass --again"
        ),
        open_test_once(tmp_path, "evaluate"),
    ):
        pytest.fail("the block must not run")


def test_second_look_on_purpose_lists_both(tmp_path):
    with open_test_once(tmp_path, "build", now=noon(1)):
        pass
    with open_test_once(tmp_path, "evaluate", again=True, now=noon(2)) as openings:
        assert [one["purpose"] for one in openings] == ["build", "evaluate"]


def test_interrupted_look_showed_nobody_a_figure_and_does_not_count(tmp_path):
    with pytest.raises(KeyboardInterrupt), open_test_once(tmp_path, "build", now=noon(1)):
        raise KeyboardInterrupt
    with open_test_once(tmp_path, "build", now=noon(2)) as openings:
        assert [one["time"][:10] for one in openings] == ["2026-03-02"]


def test_damaged_note_is_an_error_and_not_a_fresh_start(tmp_path):
    (tmp_path / "test_opened.json").write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match="is not a list of openings"), open_test_once(tmp_path, "x"):
        pytest.fail("the block must not run")
