"""New topics: far posts that belong together are proposed, named once, and learned."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tailorbird.assistants.opinion.reading import Judge, Proposer, training_rows
from tailorbird.assistants.opinion.reading.judging import Nobody
from tailorbird.assistants.opinion.reading.proposing import clusters
from tailorbird.errors import ConflictError, NotFoundError, RequestError
from tailorbird.store import Workspace
from tailorbird.store.tables.opinion import PostRow

STRIKES = [f"pilots strike at airport {place}" for place in "abcdefgh"]
QUAKES = [f"地震 袭击 沿海 城市 {number}" for number in range(7)]
KNOWN = [f"wine {number}" for number in range(9)]

PostOf = Callable[[str], PostRow]


@pytest.fixture
def judged(workspace: Workspace, posted: Callable[..., list[str]], reader: Any) -> list[str]:
    ids = posted(*STRIKES, *QUAKES, *KNOWN)
    Judge(workspace, reader, Nobody()).judge_waiting()
    return ids


def test_far_posts_that_belong_together_are_proposed_with_their_words(
    workspace: Workspace, judged: list[str], reader: Any
) -> None:
    rows = Proposer().propose(workspace, reader)
    assert [row.n_posts for row in rows] == [8, 7]
    assert set(rows[0].posts) == set(judged[:8])
    assert {"strike", "airport"} <= set(rows[0].words)
    assert "地震" in rows[1].words


def test_what_was_proposed_does_not_come_again(
    workspace: Workspace, judged: list[str], reader: Any
) -> None:
    _, second = Proposer().propose(workspace, reader)
    Proposer().dismiss(workspace, second.id)
    assert Proposer().propose(workspace, reader) == []
    with pytest.raises(ConflictError, match="was dismissed before"):
        Proposer().name(workspace, second.id, "quakes")


def test_a_named_topic_is_that_of_its_posts_and_becomes_training_rows(
    workspace: Workspace, judged: list[str], reader: Any, post_of: PostOf
) -> None:
    first, _ = Proposer().propose(workspace, reader)
    row = Proposer().name(workspace, first.id, " strikes ", author="eve")
    assert (row.status, row.topic) == ("named", "strikes")
    assert post_of(judged[0]).topics == {"strikes": 1.0}
    rows = training_rows(workspace)
    assert {one.text for one in rows} == set(STRIKES)
    assert {(one.labels, one.lacks) for one in rows} == {(("strikes",), ())}


def test_too_few_posts_are_no_topic(workspace: Workspace, judged: list[str], reader: Any) -> None:
    assert Proposer(min_posts=20).propose(workspace, reader) == []


def test_names_and_ids_are_checked(workspace: Workspace, judged: list[str], reader: Any) -> None:
    first, _ = Proposer().propose(workspace, reader)
    with pytest.raises(RequestError, match="is no name"):
        Proposer().name(workspace, first.id, "  ")
    with pytest.raises(NotFoundError, match="no proposal 'x'"):
        Proposer().dismiss(workspace, "x")


def test_one_topic_alone_is_found_and_chance_is_not() -> None:
    rng = np.random.default_rng(0)
    middle = np.zeros(64, np.float32)
    middle[0] = 1

    def unit(rows: np.ndarray) -> np.ndarray:
        return np.float32(rows / np.linalg.norm(rows, axis=1, keepdims=True))

    near = unit(middle + 0.03 * rng.standard_normal((12, 64)))
    (group,) = clusters(near, min_size=5)
    assert len(group) >= 5
    assert clusters(unit(rng.standard_normal((12, 64))), min_size=5) == []
