"""Answering over HTTP: an engine that batches, a service with the rules, and their routes."""

from tailorbird.serving.engine import Answer, PredictionEngine, Predictor
from tailorbird.serving.guard import check_exposure, is_local
from tailorbird.serving.recording import recorder_for
from tailorbird.serving.routes import add_service
from tailorbird.serving.service import Service

__all__ = [
    "Answer",
    "PredictionEngine",
    "Predictor",
    "Service",
    "add_service",
    "check_exposure",
    "is_local",
    "recorder_for",
]
