"""Recommendation: what people did with items → a ranked, diverse list with reasons.

``catalogue`` reads items and events and cuts them in time; ``ranking`` learns from them and scores.
`Recommender` serves: what people do is in their next list; `open_recommend` puts it to use.
"""

from tailorbird.assistants.recommend.live import Listing, Recommender, Wish
from tailorbird.assistants.recommend.opening import OpenRecommend, open_recommend
from tailorbird.assistants.recommend.reasons import sentence_of
from tailorbird.assistants.recommend.seam import Event
from tailorbird.assistants.recommend.shelf import Shelf

__all__ = [
    "Event",
    "Listing",
    "OpenRecommend",
    "Recommender",
    "Shelf",
    "Wish",
    "open_recommend",
    "sentence_of",
]
