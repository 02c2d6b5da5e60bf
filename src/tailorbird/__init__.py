"""Tailorbird: from interaction logs to a personalised AI assistant, by fine-tuning.

The functions a notebook needs are in `tailorbird.api`; the command is ``tailorbird``.
"""

__version__ = "0.1.0"
