"""Recommendation against what one would do instead, on MovieLens, cut in time.

Sides: popularity (recent, decayed), `implicit` ALS and BM25-kNN (each tuned on the validation
window), our ranker without the interest match, and ours. Known users have rated ten films or more
before a moment; lists rank all films that they have not rated. New films are a tenth of all: no
model sees one of their ratings, and they are ranked among themselves. Some fifty users like one of
a tenth, so ``--draws`` tenths are held out, one after another, and figures are the mean over them.

- ``ndcg_at_10``, ``ndcg_at_10_…``: mean over users of the mean over their moments.
- ``new_user_ndcg``, ``few_clicks_ndcg``: the same moments, with no rating known, or three.
- ``new_item_ndcg``: what is found among new films; ``new_item_ndcg_popularity`` ranks them by how
  popular films of their genres are, as they have no popularity of their own;
  ``new_item_ndcg_random`` is what that would say.
- ``coverage``: share of all films in any list; ``diversity``: 1 - mean cosine of genres in a list.
- ``p95_ms``: a list of 20 of 10,000 films with reasons: `scores`, `diversify` and `explain`, one
  thread.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks import recommend_peers as peers
from benchmarks.building import data_folder
from benchmarks.recommend_rows import CUTS, held_out, read_movielens
from benchmarks.rounds import folder_option
from tailorbird.assistants.recommend.catalogue.moments import Moment
from tailorbird.assistants.recommend.catalogue.records import Event, Item
from tailorbird.assistants.recommend.ranking.comparing import (
    Order,
    Window,
    by_user,
    known,
    mean,
    ranked_by,
    window_of,
    with_few,
)
from tailorbird.assistants.recommend.ranking.diversity import diversify
from tailorbird.assistants.recommend.ranking.encoding import TrunkEncoder
from tailorbird.assistants.recommend.ranking.fitting import fit_recommender
from tailorbird.assistants.recommend.ranking.model import RecommendModel
from tailorbird.assistants.recommend.ranking.settings import RecommendSettings
from tailorbird.hardware import processor

SCREEN = Console(stderr=True, highlight=False)
N_TIMED = 300
N_ITEMS_TIMED = 10_000


def cut(items: Sequence[Item], events: Sequence[Event], which: str) -> Window:
    """One of the two windows."""
    since, until = CUTS[which]
    return window_of([item.id for item in items], events, since=since, until=until)


def new_films(
    items: Sequence[Item], events: Sequence[Event], which: str, draw: int
) -> tuple[list[Item], list[Item], Window]:
    """Films to fit with, films held out, and a window where only the latter are targets."""
    new = held_out(items, seed=draw)
    old = [item for item in items if item.id not in new]
    fresh = [item for item in items if item.id in new]
    window = cut([*old, *fresh], events, which)
    fitted = [event for event in window.fitted if event.item not in new]
    moments = []
    for moment in known(window.moments):
        targets = moment.targets[moment.targets >= len(old)]
        is_old = moment.past.item < len(old)
        past = moment.past.at(is_old)
        if len(targets) and len(past):
            moments.append(replace(moment, targets=targets, past=past))
    return old, fresh, replace(window, fitted=fitted, moments=moments)


def by_genre(model: RecommendModel, n_old: int) -> Order:
    """New films by the mean popularity of films that share their genres."""
    tags, recent = model.parts.catalogue.tags, model.parts.popularity.recent
    of_tag = tags[:n_old].T @ recent[:n_old] / np.maximum(tags[:n_old].sum(axis=0), 1e-9)
    scores = tags @ of_tag
    scores[:n_old] = -np.inf

    def order(moment: Moment) -> np.ndarray:
        left = scores.copy()
        left[moment.seen] = -np.inf
        return np.argsort(-left, kind="stable")[:10]

    return order


def at_random(among: np.ndarray) -> Order:
    """New films in any order, which is what their own popularity says of them."""

    def order(moment: Moment) -> np.ndarray:
        shuffled = np.random.default_rng(moment.user).permutation(np.flatnonzero(among))
        return shuffled[~np.isin(shuffled, moment.seen)][:10]

    return order


def fit(
    items: Sequence[Item], window: Window, cache: Path, backbone: str, **changes: object
) -> RecommendModel:
    """Ours."""
    settings = replace(RecommendSettings(n_threads=1, backbone=backbone), **changes)  # type: ignore[arg-type]
    encoder = TrunkEncoder(backbone, cache, say=SCREEN.print)
    return fit_recommender(items, window.fitted, settings, cache=cache, encoder=encoder)


def variety(order: Order, moments: Sequence[Moment], model: RecommendModel) -> tuple[float, float]:
    """Coverage of the catalogue, and how different the genres of a list are."""
    tags, shown, apart = model.parts.catalogue.tags, set[int](), []
    for moment in moments:
        listed = order(moment)
        shown |= set(listed.tolist())
        cosines = tags[listed] @ tags[listed].T
        n = len(listed)
        apart.append(1 - (cosines.sum() - np.trace(cosines)) / (n * (n - 1)))
    return len(shown) / len(tags), float(np.mean(apart))


def latency_ms(model: RecommendModel, events: Sequence[Event]) -> dict[str, float]:
    """Milliseconds of a list of 20 out of 10,000, half and 95 % of them are faster."""
    more = N_ITEMS_TIMED - len(model.places)
    model.add_items(
        [Item(f"more{k}", f"Another film {k % 97} ({1950 + k % 60})") for k in range(more)]
    )
    of_user: dict[str, list[Event]] = {}
    for event in events:
        of_user.setdefault(event.user, []).append(event)
    now = datetime(2015, 4, 1, tzinfo=UTC)
    taken = []
    for user in (sorted(of_user) * N_TIMED)[:N_TIMED]:
        start = time.perf_counter()
        seen = {event.item for event in of_user[user]}
        best = model.scores(user, of_user[user], now=now, exclude=seen, n=100)
        shown = model.explain(of_user[user], diversify(best, n=20, dial=0.2), now=now)
        assert len(shown) == 20
        taken.append(1000 * (time.perf_counter() - start))
    return {"p50_ms": float(np.median(taken)), "p95_ms": float(np.quantile(taken, 0.95))}


def gain_interval(ours: Mapping[int, float], other: Mapping[int, float]) -> tuple[float, float]:
    """95 % interval of ours / other, over 2,000 draws of the users (paired)."""
    rng = np.random.default_rng(0)
    users = sorted(ours)
    one, two = (np.array([side[user] for user in users]) for side in (ours, other))
    draws = rng.integers(len(users), size=(2000, len(users)))
    ratios = one[draws].mean(axis=1) / np.maximum(two[draws].mean(axis=1), 1e-9)
    return float(np.quantile(ratios, 0.025)), float(np.quantile(ratios, 0.975))


def main() -> None:
    """Tune the peers on validation, fit all sides before the test window, judge them once."""
    parser = folder_option(__doc__, folder="ml_latest_small")
    parser.add_argument("--backbone", default="minilm", help="what reads titles and genres")
    parser.add_argument("--validation", action="store_true", help="do not look at the test window")
    parser.add_argument("--cache", type=Path, help="folder that keeps weights and text vectors")
    parser.add_argument("--draws", type=int, default=3, help="tenths of the films that are new")
    parser.add_argument("--only", choices=("known", "new"), help="known users, or new films, alone")
    options = parser.parse_args()
    items, events = read_movielens(data_folder(options.data, "ml_latest_small"))
    which = "validation" if options.validation else "test"
    with tempfile.TemporaryDirectory(prefix="tailorbird-") as folder:
        cache = options.cache or Path(folder)
        about = items, events, which, cache, options.backbone
        result: dict[str, Any] = {}
        if options.only != "new":
            result |= of_known_users(*about)
        if options.only != "known":
            draws = [of_new_items(*about, draw=k) for k in range(options.draws)]
            result |= {key: float(np.mean([one[key] for one in draws])) for key in draws[0]}
            result["new_item_ratio"] = result["new_item_ndcg"] / result["new_item_ndcg_popularity"]
            for key in ("new_item_ndcg", "new_item_ndcg_popularity"):
                result[f"{key}_draws"] = [one[key] for one in draws]
    show(result)


def of_known_users(
    items: Sequence[Item], events: Sequence[Event], which: str, cache: Path, backbone: str
) -> dict[str, float]:
    """Figures of known users, and of the same with little known; coverage, diversity and speed."""
    validation = cut(items, events, "validation")
    validation = replace(validation, moments=known(validation.moments))
    window = cut(items, events, which)
    moments = known(window.moments)
    orders: dict[str, Order] = {}
    for name, choices in (
        ("popularity", peers.popularity_choices()),
        ("als", peers.als_choices()),
        ("bm25", peers.knn_choices()),
    ):
        chosen, way, value = peers.best_of(choices, validation)
        SCREEN.print(f"{name}: {chosen} ({value:.4f} on validation)")
        orders[name] = way(window.log)
    start = time.perf_counter()
    model = fit(items, window, cache, backbone)
    fit_s = time.perf_counter() - start
    orders["ranker"] = ranked_by(fit(items, window, cache, backbone, n_matches=0))
    orders["ours"] = ranked_by(model)
    users = {name: by_user(order, moments) for name, order in orders.items()}
    result = {"ndcg_at_10": mean(users["ours"])}
    result |= {f"ndcg_at_10_{name}": mean(users[name]) for name in orders if name != "ours"}
    best = max((name for name in orders if name != "ours"), key=lambda name: mean(users[name]))
    low, high = gain_interval(users["ours"], users[best])
    result |= {
        "ratio_vs_best": result["ndcg_at_10"] / mean(users[best]),
        "ratio_low": low,
        "ratio_high": high,
        "n_users": len(users["ours"]),
        "n_moments": len(moments),
    }
    for name, few in (("new_user", 0), ("few_clicks", 3)):
        shortened = with_few(moments, few)
        result[f"{name}_ndcg"] = mean(by_user(orders["ours"], shortened))
        result[f"{name}_ndcg_popularity"] = mean(by_user(orders["popularity"], shortened))
    result["coverage"], result["diversity"] = variety(orders["ours"], moments, model)
    for name in ("popularity", "als", "ranker"):
        of_peer = variety(orders[name], moments, model)
        result[f"coverage_{name}"], result[f"diversity_{name}"] = of_peer
    return result | latency_ms(model, events) | {"fit_s": fit_s}


def of_new_items(
    items: Sequence[Item],
    events: Sequence[Event],
    which: str,
    cache: Path,
    backbone: str,
    *,
    draw: int,
) -> dict[str, float]:
    """Figures of films that nobody has rated, as far as the models know."""
    old, fresh, window = new_films(items, events, which, draw)
    model = fit(old, window, cache, backbone)
    model.add_items(fresh)
    among = np.arange(len(model.places)) >= len(old)
    ours = by_user(ranked_by(model, among), window.moments)
    popularity = by_user(by_genre(model, len(old)), window.moments)
    return {
        "new_item_ndcg": mean(ours),
        "new_item_ndcg_popularity": mean(popularity),
        "new_item_ndcg_random": mean(by_user(at_random(among), window.moments)),
        "new_item_users": len(ours),
        "n_new_items": len(fresh),
    }


def show(result: Mapping[str, Any]) -> None:
    """A table, the processor's flags, and *result* as the last line."""
    machine = processor()
    table = Table("", "", title="MovieLens")
    for key, value in result.items():
        values = value if isinstance(value, list) else [value]
        table.add_row(key, " ".join(f"{one:,.4f}" for one in values))
    Console(width=120).print(table)
    print(f"flags: {' '.join(machine['flags'])}")
    print(json.dumps({**result, "processor": machine}))


if __name__ == "__main__":
    main()
