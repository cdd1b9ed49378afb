"""How many cells the grids of a detector have together, and which grids give a number."""

from itertools import chain
from typing import NamedTuple

from edge_detect.core import Size

__all__ = ["Grids", "cells", "find_grids"]


class Grids(NamedTuple):
    """Grids that have as many candidates as an output.

    Attributes:
        strides: Input pixels per cell.
        per_cell: Candidates per cell.
    """

    strides: tuple[int, ...]
    per_cell: int

    def __str__(self) -> str:
        strides = ", ".join(map(str, self.strides))
        return f"{self.per_cell} per cell of strides {strides}"


# The usual ones first: a number may fit several.
_STRIDES = (
    (8, 16, 32),
    (16, 32),
    (8, 16, 32, 64),
    (4, 8, 16, 32),
    (8, 16),
    (4, 8, 16),
    (16,),
    (8,),
    (32,),
)


def cells(size: Size, strides: tuple[int, ...]) -> int:
    """Cells of all grids together; an edge that is no multiple counts as one more."""
    return sum(-(-size.width // stride) * -(-size.height // stride) for stride in strides)


def find_grids(size: Size, count: int, *per_cell: int) -> Grids | None:
    """Grids with as many candidates.

    Args:
        size: Of the input.
        count: Of candidates.
        per_cell: Candidates per cell that are possible, likely ones first.
    """
    possible = chain.from_iterable(
        ((strides, number) for strides in _STRIDES) for number in per_cell
    )
    for strides, number in possible:
        if cells(size, strides) * number == count:
            return Grids(strides, number)
    return None
