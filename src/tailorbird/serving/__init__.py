"""Answering over HTTP: an engine that batches, a service with the rules, and their routes.

`access` says who asks and what they may do.
"""

from tailorbird.serving import access
from tailorbird.serving.engine import Answer, PredictionEngine, Predictor
from tailorbird.serving.guard import check_exposure
from tailorbird.serving.recording import recorder_for
from tailorbird.serving.routes import add_service
from tailorbird.serving.service import Service

__all__ = [
    "Answer",
    "PredictionEngine",
    "Predictor",
    "Service",
    "access",
    "add_service",
    "check_exposure",
    "recorder_for",
]
