"""Rules that an admin writes: when one fits, what is then answered or done.

`load_rules` gives the rules in force (or of any version), `save_rules` checks new ones whole and
keeps them as a new version; `RuleSet.first_match` says which fits, `RuleSet.decide` what it says.
"""

from tailorbird.knowledge.rules.differences import difference
from tailorbird.knowledge.rules.expressions import SYMBOLS
from tailorbird.knowledge.rules.reading import Rule, read_rules
from tailorbird.knowledge.rules.ruling import RuleSet, Ruling
from tailorbird.knowledge.rules.versions import (
    LiveRules,
    Version,
    history,
    load_rules,
    save_rules,
    saved_version,
)

__all__ = [
    "SYMBOLS",
    "LiveRules",
    "Rule",
    "RuleSet",
    "Ruling",
    "Version",
    "difference",
    "history",
    "load_rules",
    "read_rules",
    "save_rules",
    "saved_version",
]
