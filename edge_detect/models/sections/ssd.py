"""The section `[ssd]` of a manifest."""

from typing import Literal

from pydantic import PositiveFloat

from edge_detect.models.sections.anchors import Anchors
from edge_detect.models.sections.base import Section

__all__ = ["SsdSpec"]


class SsdSpec(Section):
    """What an SSD's outputs mean.

    Attributes:
        outputs: Tensor names. `raw`: `boxes`, `scores`. `postprocess`: `boxes`, `classes`,
            `scores`, `count`.
        anchors: Needed by raw heads.
        box_scales: Divisors of t_y, t_x, t_h, t_w (centre-size coding).
        scores: What raw scores are: `sigmoid` or `softmax` logits, or `probability` already.
        background: Whether raw class 0 is the background.
        label_offset: Added to the model's class number to get the index into the labels.
    """

    outputs: dict[Literal["boxes", "scores", "classes", "count"], str]
    anchors: Anchors | None = None
    box_scales: tuple[PositiveFloat, PositiveFloat, PositiveFloat, PositiveFloat] = (10, 10, 5, 5)
    scores: Literal["sigmoid", "softmax", "probability"] = "sigmoid"
    background: bool = False
    label_offset: int = 0
