"""The table `[ssd.anchors]` of a manifest: how the anchors of an SSD come about.

`kind` says which of the classes it is. It may be left out for `ssd`, and where the key
`boxes` shows that the anchors are listed, or `tensor` that they stand in the model file.
"""

from typing import Annotated, Any, Literal

from pydantic import (
    Discriminator,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    Tag,
    model_validator,
)

from edge_detect.models.sections.base import Section

__all__ = [
    "Anchors",
    "BoxAnchors",
    "LevelAnchors",
    "ListedAnchors",
    "MediapipeAnchors",
    "SizeAnchors",
    "TensorAnchors",
]

Level = Annotated[int, Field(ge=0, le=16)]
_Aspect = PositiveFloat | tuple[PositiveFloat, PositiveFloat]
_Offset = Annotated[float, Field(ge=0, le=1)]


class BoxAnchors(Section):
    """The multi-scale generator of the TensorFlow Object Detection API (`ssd_anchor_generator`).

    Scales are spread evenly from `min_scale` to `max_scale` over the feature maps; each cell
    has one anchor per aspect ratio and one of the geometric mean scale; the lowest layer is
    reduced to three.

    Attributes:
        kind: `ssd`.
        feature_maps: Cells per side (columns, rows) of each feature map, largest first.
        min_scale: Anchor size of the first map, relative to the input.
        max_scale: Anchor size of the last map.
        aspect_ratios: Width by height.
        interpolated_ratio: Aspect of the extra anchor between two scales; 0 for none.
        reduce_lowest: Whether the first map has the three anchors of the reduced layer.
    """

    kind: Literal["ssd"] = "ssd"
    feature_maps: Annotated[list[tuple[PositiveInt, PositiveInt]], Field(min_length=1)]
    min_scale: PositiveFloat
    max_scale: PositiveFloat
    aspect_ratios: list[PositiveFloat]
    interpolated_ratio: float = 1.0
    reduce_lowest: bool = True


class MediapipeAnchors(Section):
    """MediaPipe's `SsdAnchorsCalculator`; keys are those of its options.

    The size of the input comes from `[input]`. Layers of equal stride share their cells.

    Attributes:
        kind: `mediapipe`.
        strides: Input pixels per cell of each layer.
        min_scale: Anchor size of the first layer, relative to the input.
        max_scale: Anchor size of the last layer.
        num_layers: Number of strides; may be left out.
        aspect_ratios: Width by height.
        interpolated_scale_aspect_ratio: Aspect of the extra anchor between two scales; 0 for
            none.
        fixed_anchor_size: Whether all anchors are as large as the input.
        reduce_boxes_in_lowest_layer: Whether the first layer has three fixed anchors.
        anchor_offset_x: Place of the centre in its cell, 0 to 1.
        anchor_offset_y: As above.
        feature_map_width: Columns of each layer; by default the input's width by the stride,
            rounded up.
        feature_map_height: Rows of each layer.
    """

    kind: Literal["mediapipe"]
    strides: Annotated[list[PositiveInt], Field(min_length=1)]
    min_scale: PositiveFloat
    max_scale: PositiveFloat
    num_layers: PositiveInt | None = None
    aspect_ratios: list[PositiveFloat] = Field(default_factory=lambda: [1.0])
    interpolated_scale_aspect_ratio: NonNegativeFloat = 1.0
    fixed_anchor_size: bool = False
    reduce_boxes_in_lowest_layer: bool = False
    anchor_offset_x: _Offset = 0.5
    anchor_offset_y: _Offset = 0.5
    feature_map_width: list[PositiveInt] = Field(default_factory=list)
    feature_map_height: list[PositiveInt] = Field(default_factory=list)

    @model_validator(mode="after")
    def _lists_fit(self) -> "MediapipeAnchors":
        count = len(self.strides)
        if self.num_layers not in (None, count):
            raise ValueError(f"num_layers is {self.num_layers}, but there are {count} strides")
        for name in ("feature_map_width", "feature_map_height"):
            given = len(getattr(self, name))
            if given not in (0, count):
                raise ValueError(f"{name} has {given} entries for {count} strides")
        return self


class SizeAnchors(Section):
    """Lists of box sizes for each feature map.

    So do Caffe's `PriorBox`, torchvision's `DefaultBoxGenerator`, and UltraFace, which has
    squares alone. Each cell has, for every size of its map: a square of `min_sizes`; with
    `max_sizes` a square of the geometric mean of both; then, for each aspect ratio but 1, a
    box of the area of the first square.

    Attributes:
        kind: `sizes`.
        min_sizes: Sizes for each map: a number, or a list of numbers.
        max_sizes: In the form of `min_sizes`; empty for none.
        aspect_ratios: Width by height; one list for all maps, or a list per map.
        flip: Whether each ratio is followed by its inverse.
        unit: `pixels` of the input, or `relative` to its width and height.
        steps: Input pixels per cell of each map; by default the input by its cells.
        feature_maps: Cells per side (columns, rows); by default the input by the steps,
            rounded up.
        offset: Place of the centre in its cell, 0 to 1.
        clip: `none`; `sizes`: no centre and no size beyond the input (torchvision, UltraFace);
            `corners`: no edge beyond it (Caffe).
    """

    kind: Literal["sizes"]
    min_sizes: Annotated[list[PositiveFloat | list[PositiveFloat]], Field(min_length=1)]
    max_sizes: list[PositiveFloat | list[PositiveFloat]] = Field(default_factory=list)
    aspect_ratios: list[PositiveFloat] | list[list[PositiveFloat]] = Field(default_factory=list)
    flip: bool = True
    unit: Literal["pixels", "relative"] = "pixels"
    steps: list[PositiveFloat] = Field(default_factory=list)
    feature_maps: list[tuple[PositiveInt, PositiveInt]] = Field(default_factory=list)
    offset: _Offset = 0.5
    clip: Literal["none", "sizes", "corners"] = "none"

    @model_validator(mode="after")
    def _lists_fit(self) -> "SizeAnchors":
        count = len(self.min_sizes)
        if not (self.steps or self.feature_maps):
            raise ValueError("steps or feature_maps are missing")
        lists: dict[str, list[Any]] = {
            "max_sizes": self.max_sizes,
            "steps": self.steps,
            "feature_maps": self.feature_maps,
        }
        if any(isinstance(ratios, list) for ratios in self.aspect_ratios):
            lists["aspect_ratios"] = self.aspect_ratios
        for name, values in lists.items():
            if len(values) not in (0, count):
                raise ValueError(f"{name} has {len(values)} entries for {count} min_sizes")
        for least, greatest in zip(self.min_sizes, self.max_sizes, strict=False):
            given = [len(side) if isinstance(side, list) else 1 for side in (least, greatest)]
            if given[0] != given[1]:
                raise ValueError(f"min_sizes {least} and max_sizes {greatest} do not fit")
        return self


class LevelAnchors(Section):
    """Pyramid levels with octave scales: RetinaNet and EfficientDet.

    Level n has cells of about 2^n pixels. The defaults are EfficientDet's (google/automl).
    The Object Detection API (`multiscale_anchor_generator`: FPN models and the EfficientDets
    of the TF2 zoo) has `stride = "power"`, `offset = "divisible"`, `order = "ratios"`; the
    Model Garden and MediaPipe Model Maker have `stride = "power"`.

    Attributes:
        kind: `levels`.
        min_level: First level.
        max_level: Last level.
        scales_per_octave: Sizes between one level and the next.
        aspect_ratios: Width by height, or pairs of factors for width and height.
        anchor_scale: Size of the smallest anchor in cells; one number, or one per level. 4 in
            EfficientDet-D0, 3 in EfficientDet-Lite0.
        stride: `exact`: the input by its cells; `power`: 2^level.
        offset: `half`: centres lie half a stride inside; `divisible`: only where the input is
            a multiple of the stride, else on the edge.
        order: What varies slowest within a cell: `scales` or `ratios`.
    """

    kind: Literal["levels"]
    min_level: Level = 3
    max_level: Level = 7
    scales_per_octave: PositiveInt = 3
    aspect_ratios: Annotated[list[_Aspect], Field(min_length=1)] = Field(
        default_factory=lambda: list[_Aspect]([1.0, 2.0, 0.5])
    )
    anchor_scale: PositiveFloat | list[PositiveFloat] = 4.0
    stride: Literal["exact", "power"] = "exact"
    offset: Literal["half", "divisible"] = "half"
    order: Literal["scales", "ratios"] = "scales"

    @model_validator(mode="after")
    def _levels_fit(self) -> "LevelAnchors":
        count = self.max_level - self.min_level + 1
        if count < 1:
            raise ValueError(f"levels {self.min_level} to {self.max_level} are none")
        if isinstance(self.anchor_scale, list) and len(self.anchor_scale) != count:
            raise ValueError(
                f"anchor_scale has {len(self.anchor_scale)} entries for {count} levels"
            )
        return self


class ListedAnchors(Section):
    """Anchors that the manifest lists.

    Attributes:
        kind: `boxes`; may be left out.
        boxes: Centre y, centre x, height, width of each anchor.
        unit: `relative` to the input's height and width, or `pixels` of it.
    """

    kind: Literal["boxes"] = "boxes"
    boxes: Annotated[list[tuple[float, float, PositiveFloat, PositiveFloat]], Field(min_length=1)]
    unit: Literal["relative", "pixels"] = "relative"


class TensorAnchors(Section):
    """Anchors that stand in the model file.

    Attributes:
        kind: `tensor`; may be left out.
        tensor: Name of a constant tensor (n, 4): centre y, centre x, height, width, relative to
            the input's height and width; quantized or not.
    """

    kind: Literal["tensor"] = "tensor"
    tensor: Annotated[str, Field(min_length=1)]


# Keys that tell the kind of a table that does not name it.
_TELLING = {"boxes": "boxes", "tensor": "tensor"}


def _kind_of(table: Any) -> str:
    if not isinstance(table, dict):
        return str(getattr(table, "kind", ""))
    if "kind" in table:
        return str(table["kind"])
    return next((kind for key, kind in _TELLING.items() if key in table), "ssd")


Anchors = Annotated[
    Annotated[BoxAnchors, Tag("ssd")]
    | Annotated[MediapipeAnchors, Tag("mediapipe")]
    | Annotated[SizeAnchors, Tag("sizes")]
    | Annotated[LevelAnchors, Tag("levels")]
    | Annotated[ListedAnchors, Tag("boxes")]
    | Annotated[TensorAnchors, Tag("tensor")],
    Discriminator(_kind_of),
]
