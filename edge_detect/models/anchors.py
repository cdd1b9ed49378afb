"""The anchors of an SSD."""

import math

import numpy as np
from numpy.typing import NDArray

from edge_detect.core import Size
from edge_detect.models.sections.ssd import BoxAnchors

__all__ = ["anchor_boxes"]


def anchor_boxes(anchors: BoxAnchors, size: Size) -> NDArray[np.float32]:
    """Generate all anchors, in the order of the model's outputs.

    Args:
        anchors: How they are generated.
        size: Size of the model's input; anchors are square-based on its shorter side.

    Returns:
        (n, 4) float32, centre y, centre x, height, width in input pixels.

    Reference:
        Liu et al., "SSD: Single Shot MultiBox Detector", 2016, sec. 2.2 (scales), as in the
        multiple-grid generator of the TensorFlow Object Detection API. Computed in float64.
    """
    side = min(size)
    grids = []
    shapes = _shapes(anchors)
    for (columns, rows), cell_shapes in zip(anchors.feature_maps, shapes, strict=True):
        centres_y = (np.arange(rows) + 0.5) * (size.height / rows)
        centres_x = (np.arange(columns) + 0.5) * (size.width / columns)
        grid = np.empty((rows, columns, len(cell_shapes), 4))
        grid[..., 0] = centres_y[:, None, None]
        grid[..., 1] = centres_x[None, :, None]
        for number, (scale, ratio) in enumerate(cell_shapes):
            grid[:, :, number, 2] = scale / math.sqrt(ratio) * side
            grid[:, :, number, 3] = scale * math.sqrt(ratio) * side
        grids.append(grid.reshape(-1, 4))
    return np.concatenate(grids).astype(np.float32)


def _shapes(anchors: BoxAnchors) -> list[list[tuple[float, float]]]:
    """Scale and aspect ratio of each anchor of a cell, for each feature map."""
    count = len(anchors.feature_maps)
    step = (anchors.max_scale - anchors.min_scale) / max(1, count - 1)
    scales = [anchors.min_scale + step * number for number in range(count)] + [1.0]
    shapes = []
    for number in range(count):
        scale, following = scales[number], scales[number + 1]
        if number == 0 and anchors.reduce_lowest:
            shapes.append([(0.1, 1.0), (scale, 2.0), (scale, 0.5)])
            continue
        cell = [(scale, ratio) for ratio in anchors.aspect_ratios]
        if anchors.interpolated_ratio > 0:
            cell.append((math.sqrt(scale * following), anchors.interpolated_ratio))
        shapes.append(cell)
    return shapes
