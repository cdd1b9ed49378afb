"""The section `[yolo]` of a manifest: grids with anchors."""

from typing import Literal

from pydantic import PositiveFloat, PositiveInt

from edge_detect.models.sections.base import Section

__all__ = ["YoloHead", "YoloSpec"]


class YoloHead(Section):
    """One grid of a YOLO.

    Attributes:
        stride: Input pixels per cell.
        anchors: Width and height in input pixels of each anchor of this grid.
        scale_x_y: Stretch of the box centre beyond its cell (1 in YOLOv3).
        outputs: Tensor names. `split`: `boxes` (rows, columns, anchors x 4), `objectness`
            (rows, columns, anchors), `classes` (rows, columns, anchors x classes).
            `raw`: `joined` (rows, columns, anchors x (5 + classes)), Darknet's order.
    """

    stride: PositiveInt
    anchors: list[tuple[PositiveFloat, PositiveFloat]]
    scale_x_y: PositiveFloat = 1.0
    outputs: dict[Literal["boxes", "objectness", "classes", "joined"], str]


class YoloSpec(Section):
    """What a YOLO's outputs mean.

    Attributes:
        heads: One entry per grid.
        new_coords: Whether outputs are already logistic and sizes are coded as (2 t)^2
            (Darknet's `new_coords=1`, Scaled-YOLOv4) instead of exp(t).
    """

    heads: list[YoloHead]
    new_coords: bool = False
