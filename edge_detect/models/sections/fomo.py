"""The section `[fomo]` of a manifest: a grid of class probabilities."""

from typing import Literal

from edge_detect.models.sections.base import Section

__all__ = ["FomoSpec"]


class FomoSpec(Section):
    """What the output of a FOMO means.

    Each cell has a probability per class; adjacent cells of one class, also at a corner, become
    one box with the best score. No suppression follows.

    Attributes:
        outputs: Tensor names: `grid` (rows, columns, scores).
        scores: What scores are: `probability`, or `softmax` or `sigmoid` logits.
        background: Whether score 0 is the background; the labels are those of the others.
    """

    outputs: dict[Literal["grid"], str]
    scores: Literal["probability", "softmax", "sigmoid"] = "probability"
    background: bool = True
