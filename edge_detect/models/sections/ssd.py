"""The section `[ssd]` of a manifest."""

from typing import Literal

from pydantic import PositiveFloat, PositiveInt

from edge_detect.models.sections.base import Section

__all__ = ["BoxAnchors", "SsdSpec"]


class BoxAnchors(Section):
    """How the anchors of an SSD are generated.

    The multi-scale generator of the TensorFlow Object Detection API: scales are spread
    evenly from `min_scale` to `max_scale` over the feature maps; each cell has one anchor
    per aspect ratio and one of the geometric mean scale; the lowest layer is reduced to three.

    Attributes:
        feature_maps: Cells per side (columns, rows) of each feature map, largest first.
        min_scale: Anchor size of the first map, relative to the input.
        max_scale: Anchor size of the last map.
        aspect_ratios: Width by height.
        interpolated_ratio: Aspect of the extra anchor between two scales; 0 for none.
        reduce_lowest: Whether the first map has the three anchors of the reduced layer.
    """

    feature_maps: list[tuple[PositiveInt, PositiveInt]]
    min_scale: PositiveFloat
    max_scale: PositiveFloat
    aspect_ratios: list[PositiveFloat]
    interpolated_ratio: float = 1.0
    reduce_lowest: bool = True


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
    anchors: BoxAnchors | None = None
    box_scales: tuple[PositiveFloat, PositiveFloat, PositiveFloat, PositiveFloat] = (10, 10, 5, 5)
    scores: Literal["sigmoid", "softmax", "probability"] = "sigmoid"
    background: bool = False
    label_offset: int = 0
