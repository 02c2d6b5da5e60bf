"""Public fakes for tests of your own, and contracts that every member of a kind keeps."""

from tailorbird.testing.methods import check_method
from tailorbird.testing.predictor import ANSWERS, SHOP, KeywordPredictor
from tailorbird.testing.tasks import check_task
from tailorbird.testing.tiny import write_tiny_backbone, write_tiny_decoder

__all__ = [
    "ANSWERS",
    "SHOP",
    "KeywordPredictor",
    "check_method",
    "check_task",
    "write_tiny_backbone",
    "write_tiny_decoder",
]
