"""The section `[fomo]` of a manifest: a grid of class probabilities."""

from typing import Literal

from edge_detect.models.sections.base import Section

__all__ = ["FomoSpec"]


class FomoSpec(Section):
    """What the output of a FOMO means.

    Each cell has a probability per class; adjacent cells of one class become one box.

    Attributes:
        outputs: Tensor names: `grid` (rows, columns, columns of scores).
        scores: What scores are: `probability`, or `softmax` logits.
        background: Whether score 0 is the background.
    """

    outputs: dict[Literal["grid"], str]
    scores: Literal["probability", "softmax"] = "probability"
    background: bool = True
