"""What folds and seeds of a run are good for: a soup that is better, labels that are doubtful.

`fold` stands in the place of `tune`; `check_labels` and `correct_labels` change nothing in a run.
"""

from tailorbird.folding.corrections import correct_labels
from tailorbird.folding.folds import fold
from tailorbird.folding.labels import LabelCheck, check_labels
from tailorbird.folding.members import Folds

__all__ = ["Folds", "LabelCheck", "check_labels", "correct_labels", "fold"]
