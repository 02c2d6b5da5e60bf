"""Topics that nobody has named yet: posts far from all known ones that belong together.

They are clustered by density (HDBSCAN, Campello et al. 2013), and a cluster is told by the words
that it has and the others have not, by class-based TF-IDF (Grootendorst 2022, section 3.3)::

    weight(w, c) = tf(w, c) · ln(1 + A / f(w))

with tf(w, c) the share of w among the words of cluster c, f(w) how often all clusters have it, and
A the mean number of words of a cluster. A person names a cluster, and its posts become training
rows; what was dismissed does not come again.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select

from tailorbird.assistants.opinion.reading.correcting import check_names, note, said_text
from tailorbird.assistants.opinion.reading.reader import Reads
from tailorbird.errors import ConflictError, NotFoundError
from tailorbird.knowledge.words import words_of
from tailorbird.store import Workspace
from tailorbird.store.tables.opinion import OpinionLabelRow, PostRow, TopicProposalRow

FAR = 1.0
"""The distance from which a post is far from all topics; 95 of 100 known ones are nearer."""
MIN_POSTS = 5
"""Of a proposal."""
MAX_POSTS = 5000
"""The newest far posts that are looked at."""
ALIKE = 0.3
"""Mean cosine of two posts of a cluster, where it is the only one: else it is no cluster."""
N_WORDS, N_KEPT = 8, 200
"""Key words, and posts, that a proposal keeps at most."""

Vectors = NDArray[np.float32]
Embed = Callable[[Sequence[str]], Vectors]


class Proposer:
    """Finds, names and dismisses topics that are not known yet."""

    def __init__(self, *, far: float = FAR, min_posts: int = MIN_POSTS, embed: Embed | None = None):
        """
        Args:
            far: distance from which a post belongs to no topic.
            min_posts: of a proposal.
            embed: texts → (N, D) rows of length 1; None: what the reader makes of them, or where
                it makes nothing, `word_vectors`.
        """
        self.far = far
        self.min_posts = min_posts
        self.embed = embed

    def propose(self, workspace: Workspace, reads: Reads) -> list[TopicProposalRow]:
        """New proposals from the posts that *reads* has judged, the largest first; they are kept.

        Posts of earlier proposals, whatever became of them, are left out.
        """
        posts = self._far_posts(workspace, reads)
        if len(posts) < self.min_posts:
            return []
        texts = [said_text(post) for post in posts]
        own: Embed = getattr(reads, "vectors", word_vectors)
        vectors = (self.embed or own)(texts)
        groups = clusters(vectors, min_size=self.min_posts)
        words = key_words([[texts[k] for k in group] for group in groups])
        rows = [
            TopicProposalRow(
                words=of_group,
                posts=[posts[k].id for k in middle_first(vectors, group)[:N_KEPT]],
                n_posts=len(group),
            )
            for group, of_group in zip(groups, words, strict=True)
        ]
        with workspace.writing() as session:
            session.add_all(rows)
        return rows

    def name(
        self, workspace: Workspace, proposal: str, topic: str, *, author: str = ""
    ) -> TopicProposalRow:
        """Call a proposal *topic*, a new one or a known one; its posts have it from now on.

        Raises NotFoundError where there is no such proposal, ConflictError where it was decided
        before, RequestError where the name is none.
        """
        check_names([topic])
        topic = topic.strip()
        with workspace.writing() as session:
            row = _waiting(session.get(TopicProposalRow, proposal), proposal)
            row.status, row.topic = "named", topic
            posts = session.scalars(select(PostRow).where(PostRow.id.in_(row.posts))).all()
            for post in posts:
                said = session.scalar(
                    select(OpinionLabelRow).where(
                        OpinionLabelRow.post_id == post.id, OpinionLabelRow.entity == ""
                    )
                )
                before = said.topics if said and said.topics is not None else list(post.topics)
                note(session, post, topics=[*before, topic], author=author)
        return row

    def dismiss(self, workspace: Workspace, proposal: str) -> TopicProposalRow:
        """Say that a proposal is no topic. Raises as `name` does."""
        with workspace.writing() as session:
            row = _waiting(session.get(TopicProposalRow, proposal), proposal)
            row.status = "dismissed"
        return row

    def _far_posts(self, workspace: Workspace, reads: Reads) -> list[PostRow]:
        wanted = (
            select(PostRow)
            .where(
                PostRow.model == reads.id,
                PostRow.copy_of.is_(None),
                PostRow.topic_distance >= self.far,
            )
            .order_by(PostRow.time.desc(), PostRow.id)
            .limit(MAX_POSTS)
        )
        with workspace.sessions() as session:
            posts = session.scalars(wanted).all()
            seen = {k for ids in session.scalars(select(TopicProposalRow.posts)) for k in ids}
        return [post for post in posts if not post.topics and post.id not in seen]


def _waiting(row: TopicProposalRow | None, proposal: str) -> TopicProposalRow:
    if row is None:
        raise NotFoundError(
            f"there is no proposal {proposal!r}",
            cure="GET /v1/opinion/proposals and tailorbird opinion topics list name them",
        )
    if row.status != "new":
        raise ConflictError(f"proposal {proposal} was {row.status} before", cure="choose another")
    return row


def clusters(vectors: Vectors, *, min_size: int) -> list[list[int]]:
    """The rows of (N, D) vectors that lie densely together, the largest group first; no noise."""
    from sklearn.cluster import HDBSCAN

    size = max(2, min_size)
    found = HDBSCAN(min_cluster_size=size, copy=True).fit_predict(vectors)
    if (found < 0).all():  # it never takes one cluster for an answer, unless it is asked to
        found = HDBSCAN(min_cluster_size=size, allow_single_cluster=True, copy=True).fit_predict(
            vectors
        )
        inside = vectors[found >= 0]
        n_pairs = len(inside) * (len(inside) - 1)
        total = inside.sum(axis=0)
        if not n_pairs or (float(total @ total) - len(inside)) / n_pairs < ALIKE:
            return []
    groups: dict[int, list[int]] = {}
    for row, group in enumerate(found.tolist()):
        if group >= 0:
            groups.setdefault(group, []).append(row)
    return sorted(groups.values(), key=lambda group: (-len(group), group[0]))


def middle_first(vectors: Vectors, group: Sequence[int]) -> list[int]:
    """The rows of a group, the nearest to its middle first.

    >>> middle_first(np.float32([[1, 0], [0.6, 0.8], [0, 1]]), [0, 1, 2])
    [1, 2, 0]
    """
    nearness = vectors[list(group)] @ vectors[list(group)].mean(axis=0)
    return [group[k] for k in np.argsort(-nearness, kind="stable")]


def key_words(groups: Sequence[Sequence[str]], n: int = N_WORDS) -> list[list[str]]:
    """The *n* most telling words of each group of texts, by class-based TF-IDF.

    >>> key_words([["red wine", "white wine"], ["fast car", "red car"]], 1)
    [['wine'], ['car']]
    """
    counts = [Counter(word for text in texts for word in words_of(text)) for texts in groups]
    total = Counter[str]()
    for count in counts:
        total.update(count)
    mean = total.total() / max(1, len(groups))
    found = []
    for count in counts:
        n_words = max(1, count.total())
        weights = {w: tf / n_words * math.log(1 + mean / total[w]) for w, tf in count.items()}
        ranked = sorted(weights, key=lambda word: (-weights[word], word))
        # One character of Chinese, or a number, tells little.
        found.append([w for w in ranked if len(w) > 1 and not w.isdigit()][:n])
    return found


def word_vectors(texts: Sequence[str], *, width: int = 64) -> Vectors:
    """(N, D) rows of length 1 from the words alone: TF-IDF, then its main directions (LSA)."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.preprocessing import normalize

    # A text without a word has one of its own, so that no row is empty.
    tokens = [words_of(text) or [f"\0{k}"] for k, text in enumerate(texts)]
    table = TfidfVectorizer(analyzer=list, sublinear_tf=True).fit_transform(tokens)
    n_parts = min(width, min(table.shape) - 1)
    if n_parts < 1:
        return np.asarray(normalize(table.toarray()), dtype=np.float32)
    rows = TruncatedSVD(n_parts, random_state=0).fit_transform(table)
    return np.asarray(normalize(rows), dtype=np.float32)
