"""The anchors of an SSD."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_detect.core import ModelError, Size
from edge_detect.models.sections.anchors import (
    Anchors,
    BoxAnchors,
    LevelAnchors,
    ListedAnchors,
    MediapipeAnchors,
    SizeAnchors,
    TensorAnchors,
)

__all__ = ["Constants", "anchor_boxes"]

# Gives the real values of a constant tensor of the model file, by name.
Constants = Callable[[str], NDArray[np.float32]]

# More than any detector has; a manifest that asks for more is refused before it takes memory.
_MOST = 4_000_000

_Boxes = NDArray[np.float64]
_Pair = tuple[float, float]


class _Grid(NamedTuple):
    """The anchors of one feature map; all pairs are x, y in input pixels.

    Attributes:
        cells: Columns, rows.
        stride: From one centre to the next.
        first: Centre of the first cell.
        sizes: Width and height of each anchor of a cell.
    """

    cells: tuple[int, int]
    stride: _Pair
    first: _Pair
    sizes: Sequence[_Pair]


def anchor_boxes(
    anchors: Anchors, size: Size, constants: Constants | None = None
) -> NDArray[np.float32]:
    """All anchors, in the order of the model's outputs.

    Cells run row by row; the anchors of a cell follow each other. Computed in float64.

    Args:
        anchors: How they are generated, or where they stand.
        size: Size of the model's input.
        constants: For anchors that stand in the model file.

    Returns:
        (n, 4) float32, centre y, centre x, height, width in input pixels.

    Raises:
        ModelError: They are more than any detector has, or do not stand in the model file.
    """
    if isinstance(anchors, TensorAnchors):
        return _stored(anchors, size, constants)
    if isinstance(anchors, ListedAnchors):
        return _listed(anchors, size)
    grids = _GENERATORS[type(anchors)](anchors, size)
    total = sum(grid.cells[0] * grid.cells[1] * len(grid.sizes) for grid in grids)
    if total > _MOST:
        raise ModelError(
            f"[ssd.anchors] describes {total} anchors, more than {_MOST}",
            "correct the feature maps, steps or levels",
        )
    boxes = np.concatenate([_tile(grid) for grid in grids])
    if isinstance(anchors, SizeAnchors):
        boxes = _CLIPPERS[anchors.clip](boxes, size)
    return boxes.astype(np.float32)


def _stored(anchors: TensorAnchors, size: Size, constants: Constants | None) -> NDArray[np.float32]:
    if constants is None:
        raise ModelError(
            f"the anchors stand in tensor {anchors.tensor!r}, and there is no model file"
        )
    relative = constants(anchors.tensor)
    if relative.ndim != 2 or relative.shape[1] != 4 or not np.isfinite(relative).all():
        raise ModelError(
            f"tensor {anchors.tensor!r} of shape {relative.shape} holds no anchors",
            "they are rows of centre y, centre x, height and width",
        )
    return relative * np.array([size.height, size.width] * 2, np.float32)


def _tile(grid: _Grid) -> _Boxes:
    (columns, rows), (step_x, step_y), (first_x, first_y), sizes = grid
    boxes = np.empty((rows, columns, len(sizes), 4))
    boxes[..., 0] = (np.arange(rows) * step_y + first_y)[:, None, None]
    boxes[..., 1] = (np.arange(columns) * step_x + first_x)[None, :, None]
    boxes[..., 2:] = np.array(sizes, np.float64).reshape(-1, 2)[:, ::-1]
    return boxes.reshape(-1, 4)


def _shaped(size: float, ratio: float) -> _Pair:
    """Width and height of a box of the area of a square, by its aspect ratio."""
    return size * math.sqrt(ratio), size / math.sqrt(ratio)


def _ssd_grids(anchors: BoxAnchors, size: Size) -> list[_Grid]:
    """The grids of the Object Detection API's SSD generator; sizes are parts of the shorter side.

    Reference:
        Liu et al., "SSD: Single Shot MultiBox Detector", 2016, sec. 2.2 (scales), as in
        `create_ssd_anchors` of the Object Detection API (multiple_grid_anchor_generator.py).
    """
    side = min(size)
    count = len(anchors.feature_maps)
    step = (anchors.max_scale - anchors.min_scale) / max(1, count - 1)
    scales = [anchors.min_scale + step * number for number in range(count)] + [1.0]
    grids = []
    for number, (columns, rows) in enumerate(anchors.feature_maps):
        shapes = _cell_shapes(
            scales[number],
            scales[number + 1],
            anchors.aspect_ratios,
            anchors.interpolated_ratio,
            reduced=number == 0 and anchors.reduce_lowest,
        )
        stride = size.width / columns, size.height / rows
        sizes = [_shaped(scale * side, ratio) for scale, ratio in shapes]
        grids.append(_Grid((columns, rows), stride, (stride[0] / 2, stride[1] / 2), sizes))
    return grids


def _cell_shapes(
    scale: float, following: float, ratios: Sequence[float], interpolated: float, *, reduced: bool
) -> list[_Pair]:
    """Scale and aspect ratio of each anchor of a cell."""
    if reduced:
        return [(0.1, 1.0), (scale, 2.0), (scale, 0.5)]
    shapes = [(scale, ratio) for ratio in ratios]
    if interpolated > 0:
        shapes.append((math.sqrt(scale * following), interpolated))
    return shapes


def _mediapipe_grids(anchors: MediapipeAnchors, size: Size) -> list[_Grid]:
    """The grids of MediaPipe; sizes are parts of the input's width and height.

    Reference:
        MediaPipe, `mediapipe/calculators/tflite/ssd_anchors_calculator.cc`, `GenerateAnchors`.
    """
    count = len(anchors.strides)
    spread = anchors.max_scale - anchors.min_scale
    middle = 0.5 * (anchors.min_scale + anchors.max_scale)
    scales = [
        anchors.min_scale + spread * layer / (count - 1) if count > 1 else middle
        for layer in range(count)
    ]
    scales.append(1.0)
    grids: list[_Grid] = []
    for layer, stride in enumerate(anchors.strides):
        shapes = _cell_shapes(
            scales[layer],
            scales[layer + 1],
            anchors.aspect_ratios,
            anchors.interpolated_scale_aspect_ratio,
            reduced=layer == 0 and anchors.reduce_boxes_in_lowest_layer,
        )
        relative = [
            (1.0, 1.0) if anchors.fixed_anchor_size else _shaped(scale, ratio)
            for scale, ratio in shapes
        ]
        sizes = [(width * size.width, height * size.height) for width, height in relative]
        if layer and stride == anchors.strides[layer - 1]:
            grids[-1] = grids[-1]._replace(sizes=[*grids[-1].sizes, *sizes])
            continue
        widths, heights = anchors.feature_map_width, anchors.feature_map_height
        columns = widths[layer] if widths else -(-size.width // stride)
        rows = heights[layer] if heights else -(-size.height // stride)
        step = size.width / columns, size.height / rows
        first = anchors.anchor_offset_x * step[0], anchors.anchor_offset_y * step[1]
        grids.append(_Grid((columns, rows), step, first, sizes))
    return grids


def _size_grids(anchors: SizeAnchors, size: Size) -> list[_Grid]:
    """The grids of listed sizes.

    Reference:
        Liu et al., "SSD", 2016, sec. 2.2, in the order of Caffe's `prior_box_layer.cpp` (SSD
        branch), which is that of torchvision's `DefaultBoxGenerator`.
    """
    grids = []
    unit_x, unit_y = size if anchors.unit == "relative" else (1, 1)
    for number, least in enumerate(anchors.min_sizes):
        steps = anchors.steps[number : number + 1]
        if anchors.feature_maps:
            columns, rows = anchors.feature_maps[number]
        else:
            columns, rows = (math.ceil(side / steps[0]) for side in size)
        stride = (steps[0], steps[0]) if steps else (size.width / columns, size.height / rows)
        greatest = anchors.max_sizes[number] if anchors.max_sizes else None
        squares = _cell_sizes(least, greatest, _ratios_of(anchors, number))
        sizes = [(width * unit_x, height * unit_y) for width, height in squares]
        first = anchors.offset * stride[0], anchors.offset * stride[1]
        grids.append(_Grid((columns, rows), stride, first, sizes))
    return grids


def _ratios_of(anchors: SizeAnchors, number: int) -> list[float]:
    """The aspect ratios of one map in their order, without 1."""
    ratios: Any = anchors.aspect_ratios
    if ratios and isinstance(ratios[0], list):
        ratios = ratios[number]
    each = [[ratio, 1 / ratio] if anchors.flip else [ratio] for ratio in ratios]
    return [ratio for pair in each for ratio in pair if abs(ratio - 1) > 1e-6]


def _cell_sizes(
    least: float | list[float], greatest: float | list[float] | None, ratios: Sequence[float]
) -> list[_Pair]:
    """Width and height of each anchor of a cell."""
    sizes = []
    for place, side in enumerate(least if isinstance(least, list) else [least]):
        sizes.append((side, side))
        if greatest is not None:
            other = greatest[place] if isinstance(greatest, list) else greatest
            sizes.append((math.sqrt(side * other), math.sqrt(side * other)))
        sizes += [_shaped(side, ratio) for ratio in ratios]
    return sizes


def _level_grids(anchors: LevelAnchors, size: Size) -> list[_Grid]:
    """The grids of pyramid levels.

    Reference:
        Lin et al., "Focal Loss for Dense Object Detection", 2017, sec. 4; Tan et al.,
        "EfficientDet", 2020, in the order of `anchors.py` of google/automl, or of
        `multiscale_grid_anchor_generator.py` of the Object Detection API.
    """
    octaves = [
        2 ** (number / anchors.scales_per_octave) for number in range(anchors.scales_per_octave)
    ]
    ratios = [
        ratio if isinstance(ratio, tuple) else (math.sqrt(ratio), 1 / math.sqrt(ratio))
        for ratio in anchors.aspect_ratios
    ]
    if anchors.order == "scales":
        shapes = [(octave, ratio) for octave in octaves for ratio in ratios]
    else:
        shapes = [(octave, ratio) for ratio in ratios for octave in octaves]
    grids = []
    for number, level in enumerate(range(anchors.min_level, anchors.max_level + 1)):
        power = 2**level
        columns, rows = (-(-side // power) for side in size)
        stride: _Pair = (power, power)
        if anchors.stride == "exact":
            stride = size.width / columns, size.height / rows
        given = anchors.anchor_scale
        scale = given[number] if isinstance(given, list) else given
        sizes = [
            (scale * octave * stride[0] * wide, scale * octave * stride[1] * high)
            for octave, (wide, high) in shapes
        ]
        first = [
            0.0 if anchors.offset == "divisible" and side % power else step / 2
            for side, step in zip(size, stride, strict=True)
        ]
        grids.append(_Grid((columns, rows), stride, (first[0], first[1]), sizes))
    return grids


def _listed(anchors: ListedAnchors, size: Size) -> NDArray[np.float32]:
    boxes = np.array(anchors.boxes, np.float64)
    if anchors.unit == "relative":
        boxes *= [size.height, size.width] * 2
    return boxes.astype(np.float32)


def _clip_sizes(boxes: _Boxes, size: Size) -> _Boxes:
    clipped: _Boxes = boxes.clip(0, [size.height, size.width] * 2)
    return clipped


def _clip_corners(boxes: _Boxes, size: Size) -> _Boxes:
    low = (boxes[:, :2] - boxes[:, 2:] / 2).clip(0, [size.height, size.width])
    high = (boxes[:, :2] + boxes[:, 2:] / 2).clip(0, [size.height, size.width])
    return np.concatenate([(low + high) / 2, high - low], axis=1)


_CLIPPERS: dict[str, Callable[[_Boxes, Size], _Boxes]] = {
    "none": lambda boxes, _: boxes,
    "sizes": _clip_sizes,
    "corners": _clip_corners,
}

_GENERATORS: dict[type, Callable[[Any, Size], list[_Grid]]] = {
    BoxAnchors: _ssd_grids,
    MediapipeAnchors: _mediapipe_grids,
    SizeAnchors: _size_grids,
    LevelAnchors: _level_grids,
}
