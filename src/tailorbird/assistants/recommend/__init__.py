"""Recommendation: what people did with items → a ranked, diverse list with reasons.

``catalogue`` reads items and events and cuts them in time; ``ranking`` learns from them and scores.
"""
