"""Outputs that are grids, one or more per scale."""

from typing import NamedTuple

from edge_detect.models.file.graph import FileTensor
from edge_detect.models.infer.common import dims
from edge_detect.models.infer.evidence import Evidence
from edge_detect.models.infer.grids import cells

__all__ = ["Level", "levels_of"]

_STRIDES = (4, 8, 16, 32, 64, 128)


class Level(NamedTuple):
    """An output that is a grid.

    Attributes:
        stride: Input pixels per cell.
        channels: Values per cell.
        tensor: The output.
        layout: `rows` where the values of a cell lie together, `columns` where those of all
            cells do, `anchors` where those of a cell and an anchor do.
    """

    stride: int
    channels: int
    tensor: FileTensor
    layout: str = "rows"


def levels_of(evidence: Evidence, *, flat: bool = False) -> list[Level] | None:
    """All outputs as grids, fine ones first; None if one is none.

    Args:
        evidence: Of the file.
        flat: Whether cells may be one dimension.
    """
    found = []
    for tensor in evidence.outputs:
        level = _level(evidence, tensor)
        if level is None and flat:
            level = _flat_level(evidence, tensor)
        if level is None:
            return None
        found.append(level)
    return sorted(found, key=lambda each: each.stride)


def _level(evidence: Evidence, tensor: FileTensor) -> Level | None:
    """1 x rows x columns x values, or 1 x anchors x rows x columns x values."""
    shape = tensor.shape
    if len(shape) not in (4, 5):
        return None
    rows, columns, values = shape[-3:]
    size = evidence.size
    for stride in _STRIDES:
        if (-(-size.height // stride), -(-size.width // stride)) == (rows, columns):
            if len(shape) == 5:
                return Level(stride, shape[1] * values, tensor, "anchors")
            return Level(stride, values, tensor)
    return None


def _flat_level(evidence: Evidence, tensor: FileTensor) -> Level | None:
    """1 x cells x values, or 1 x values x cells."""
    shape = dims(tensor)
    if len(shape) != 2:
        return None
    counts = {stride: cells(evidence.size, (stride,)) for stride in _STRIDES}
    # Rows first: small inputs have a grid of as many cells as there are logits.
    for axis, layout in ((0, "rows"), (1, "columns")):
        for stride, count in counts.items():
            if shape[axis] == count:
                return Level(stride, shape[1 - axis], tensor, layout)
    return None
