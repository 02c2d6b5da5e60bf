"""Full tuning: every weight above the frozen layers moves."""

from __future__ import annotations

from typing import Any

from tailorbird.config import MethodSettings
from tailorbird.modeling.adapters.attachment import Attachment, Method


def full(backbone: Any, settings: MethodSettings) -> Attachment:
    """Leave the backbone as ``backbone.freeze`` set it: nothing is added.

    It cannot be detached, because the pretrained weights are not kept a second time.

    Source: Devlin et al. 2019 (BERT), section 3.2.
    """
    return Attachment(backbone, settings)


FULL = Method(full, 1.0, "the rate of full tuning")
