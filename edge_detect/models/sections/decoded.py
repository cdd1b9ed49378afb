"""The section `[decoded]` of a manifest: models whose graph decodes its boxes itself."""

from typing import Annotated, Literal

from pydantic import Field

from edge_detect.models.sections.base import Section

__all__ = ["DecodedSpec"]


class DecodedSpec(Section):
    """What the outputs of a model that decodes its own boxes mean.

    A *candidate* is a box with its scores. A joined output holds, for each candidate, four
    box values, the objectness if there is one, and the scores of all classes; or, with
    `classes = "index"`, four box values, one score and one class number.

    Attributes:
        outputs: Tensor names: `joined` alone; or `boxes` and `scores`, and `objectness` where
            there is one; with `classes = "index"`: `boxes`, `scores` and `classes`, and `count`
            where there is one.
        layout: `columns` for 1 x values x candidates (YOLOv8), `rows` for 1 x candidates x values.
        box: `cxcywh` (centre and size), `xyxy`, `yxyx` (corners) or `xywh` (corner and size).
        unit: `pixels` of the input, or `relative` to its width and height.
        objectness: Whether there is one; a score is its product with the class probability.
        scores: What scores are: `probability`, or `sigmoid` or `softmax` logits.
        classes: `scores` for one score per class, `index` for one score and a class number.
        first: First score column that is an object: 1 after a background column.
        last: How many score columns at the end are no objects: 1 for "no object" (DETR).
        label_offset: Added to the model's class number to get the index into the labels.
    """

    outputs: dict[Literal["joined", "boxes", "scores", "objectness", "classes", "count"], str]
    layout: Literal["columns", "rows"] = "rows"
    box: Literal["cxcywh", "xyxy", "yxyx", "xywh"] = "cxcywh"
    unit: Literal["pixels", "relative"] = "pixels"
    objectness: bool = False
    scores: Literal["probability", "sigmoid", "softmax"] = "probability"
    classes: Literal["scores", "index"] = "scores"
    first: Annotated[int, Field(ge=0)] = 0
    last: Annotated[int, Field(ge=0)] = 0
    label_offset: int = 0
