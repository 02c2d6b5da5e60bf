"""What a service cannot use is said in its log, once."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tailorbird.assistant_settings import ListSettings
from tailorbird.assistants.recommend.opening import OpenRecommend, open_recommender
from tailorbird.errors import BundleError
from tailorbird.store import Workspace


def test_what_cannot_be_used_is_said_once_and_in_a_sentence(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def old() -> None:
        raise BundleError("is of another version", cure="fit it again")

    with Workspace.open(tmp_path) as workspace:
        opened = OpenRecommend(open_recommender(workspace, ListSettings()))
        with caplog.at_level(logging.ERROR):
            for _ in range(3):
                opened._take_over([old])
        opened.recommender.close()
    (record,) = caplog.records
    assert record.exc_info is None
    assert "is of another version; fit it again" in record.getMessage()
