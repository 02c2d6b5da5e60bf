"""Interest match, candidates, the ranker, diversity and reasons: one `RecommendModel`."""
