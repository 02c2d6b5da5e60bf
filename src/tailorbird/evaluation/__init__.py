"""How good a model is, how sure it may be, and the page that says so.

`evaluate` measures one split, `calibrate` fits what validation decides, `examine` finds the rows
worth reading, `measure_baselines` says what must be beaten, `open_test_once` guards the test
split, and `write_report` makes report.json and report.html of it all.
"""

from tailorbird.evaluation.baselines import measure_baselines
from tailorbird.evaluation.calibration import calibrate, choose_threshold, fit_temperature
from tailorbird.evaluation.gate import open_test_once
from tailorbird.evaluation.measuring import evaluate, examine
from tailorbird.evaluation.page import write_report

__all__ = [
    "calibrate",
    "choose_threshold",
    "evaluate",
    "examine",
    "fit_temperature",
    "measure_baselines",
    "open_test_once",
    "write_report",
]
