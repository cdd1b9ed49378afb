"""The section `[dfl]` of a manifest: distances to the four sides of a box as distributions."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from edge_detect.models.sections.base import Section

__all__ = ["DflLevel", "DflSpec"]


class DflLevel(Section):
    """One grid.

    Attributes:
        stride: Input pixels per cell.
        outputs: Tensor names: `joined` (rows, columns, 4 x bins + classes), or `boxes`
            (rows, columns, 4 x bins) and `classes` (rows, columns, classes).
    """

    stride: PositiveInt
    outputs: dict[Literal["joined", "boxes", "classes"], str]


class DflSpec(Section):
    """What the outputs of a model with distribution focal loss mean.

    A distance is the mean of a softmax over `bins` logits, in strides, to the left, top,
    right and bottom side.

    Attributes:
        levels: One entry per grid.
        bins: Logits per side: 16 in YOLOv8, 8 in NanoDet and PicoDet.
        centre: Where in its cell, from 0 to 1, distances begin: 0.5 in YOLOv8 and PicoDet, 0
            in NanoDet-Plus.
        scores: What class scores are: `sigmoid` logits or `probability` already.
        joined: Order inside of joined outputs: `boxes-classes` (YOLOv8) or `classes-boxes`
            (NanoDet).

    Reference:
        Li et al., "Generalized Focal Loss", 2020, sec. 3.2.
    """

    levels: Annotated[list[DflLevel], Field(min_length=1)]
    bins: PositiveInt = 16
    centre: Annotated[float, Field(ge=0, le=1)] = 0.5
    scores: Literal["sigmoid", "probability"] = "sigmoid"
    joined: Literal["boxes-classes", "classes-boxes"] = "boxes-classes"
