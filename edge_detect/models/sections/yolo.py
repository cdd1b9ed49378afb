"""The section `[yolo]` of a manifest: grids with anchors."""

from typing import Annotated, Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from edge_detect.models.sections.base import Section

__all__ = ["YoloHead", "YoloSpec"]

Anchors = list[tuple[PositiveFloat, PositiveFloat]]


class YoloHead(Section):
    """One grid of a YOLO.

    Attributes:
        stride: Input pixels per cell.
        anchors: Width and height of each anchor of this grid, in the unit `anchor_unit`. May be
            left out where `coding` is `linear`: one anchor of the cell's size.
        scale_x_y: Stretch of the box centre beyond its cell; 1 by default, 2 where `coding` is
            `squared`.
        outputs: Tensor names. `split`: `boxes` (rows, columns, anchors x 4), `objectness`
            (rows, columns, anchors), `classes` (rows, columns, anchors x classes).
            `raw`: `joined` (rows, columns, anchors x (5 + classes)), each anchor's values in
            Darknet's order: x, y, width, height, objectness, classes. Grids with the same
            names lie one after another in these tensors, in the order of the heads.
    """

    stride: PositiveInt
    anchors: Anchors = Field(default_factory=list)
    scale_x_y: PositiveFloat | None = None
    outputs: dict[Literal["boxes", "objectness", "classes", "joined"], str]


class YoloSpec(Section):
    """What a YOLO's outputs mean.

    With s the logistic function, `c` the cell, `a` the anchor and `k` scale_x_y, a box has

        coding       centre, in cells                size             used by
        exponential  c + k s(t) - (k - 1) / 2        a exp(t)         YOLOv2, YOLOv3, YOLOv4
        squared      c + k s(t) - (k - 1) / 2        a (2 s(t))^2     YOLOv5, YOLOv7, Scaled-YOLOv4
        linear       c + t                           a exp(t)         YOLOX

    Attributes:
        heads: One entry per grid.
        coding: How boxes are coded.
        activated: Whether the graph has applied the logistic function already (and the softmax,
            where there is one), to the scores and to the values of `coding` that take it.
        classes: What makes a class probability: `sigmoid`, `softmax` over all classes (YOLOv2),
            or `none`: the objectness alone is the score, of models that know one class.
        layout: Order of the values in the tensors: `cells` for rows, columns, anchors, values;
            `anchors` for anchors, rows, columns, values (exports of YOLOv5 and YOLOv7).
        anchor_unit: `pixels` of the input, or `cells` (as in cfg files of YOLOv2).
        new_coords: Darknet's name for `coding = "squared"` and `activated = true`, with
            scale_x_y 1 by default.

    Reference:
        Redmon & Farhadi, "YOLO9000: Better, Faster, Stronger", 2017, sec. 2; "YOLOv3: An
        Incremental Improvement", 2018, sec. 2.1; Wang et al., "Scaled-YOLOv4", 2021; Ge et
        al., "YOLOX: Exceeding YOLO Series in 2021", sec. 2.
    """

    heads: Annotated[list[YoloHead], Field(min_length=1)]
    coding: Literal["exponential", "squared", "linear"] = "exponential"
    activated: bool = False
    classes: Literal["sigmoid", "softmax", "none"] = "sigmoid"
    layout: Literal["cells", "anchors"] = "cells"
    anchor_unit: Literal["pixels", "cells"] = "pixels"
    new_coords: bool = False

    def anchors(self, head: YoloHead) -> Anchors:
        """Width and height of the anchors of a grid, in input pixels."""
        if not head.anchors:
            return [(head.stride, head.stride)]
        unit = head.stride if self.anchor_unit == "cells" else 1
        return [(unit * width, unit * height) for width, height in head.anchors]

    def stretch(self, head: YoloHead) -> float:
        """The head's scale_x_y, or its default."""
        if head.scale_x_y is not None:
            return head.scale_x_y
        return 2.0 if self.coding == "squared" and not self.new_coords else 1.0

    @model_validator(mode="before")
    @classmethod
    def _translate_new_coords(cls, data: Any) -> Any:
        if not (isinstance(data, dict) and data.get("new_coords") is True):
            return data
        if data.get("coding", "squared") != "squared" or data.get("activated", True) is not True:
            raise ValueError('new_coords means coding = "squared" and activated = true')
        return {**data, "coding": "squared", "activated": True}

    @model_validator(mode="after")
    def _heads_fit(self) -> "YoloSpec":
        for number, head in enumerate(self.heads):
            if self.coding == "linear":
                if self.stretch(head) != 1:
                    raise ValueError(f'head {number}: coding = "linear" has no scale_x_y')
            elif not head.anchors:
                raise ValueError(f'head {number}: coding = "{self.coding}" needs anchors')
        return self
