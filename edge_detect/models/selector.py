"""Choosing the kernel that finds candidates in a score tensor, and its threshold."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_detect.kernels import select as places
from edge_detect.kernels.quantize import BLOCK, LOGIT, PROBABILITY, SOFTMAX
from edge_detect.kernels.registry import prepare
from edge_detect.kernels.select import (
    select_columns,
    select_present,
    select_rows,
    select_softmax,
)
from edge_detect.models.tables import least_element, least_logit, least_probability
from edge_detect.models.tensors import TensorInfo

__all__ = ["KINDS", "Selector"]

_Select = Callable[..., int]

# Values of layout[KIND] by what manifests call them.
KINDS = {"probability": PROBABILITY, "sigmoid": LOGIT, "softmax": SOFTMAX}


class Selector:
    """Finds the boxes and classes whose score reaches the threshold.

    Args:
        layout: The kernels' description of the tensors, see `edge_detect.kernels.select`.
        table: (2 or more, 256) float32, scores and objectness; empty for float32.
        scores: The score tensor.
        objectness: The tensor with the objectness; not used where there is none.

    Attributes:
        impossible: Whether no element can reach the threshold.
        select: Called with the flat tensors of scores and objectness, settings, boxes, notes
            and the number of candidates so far; returns the new number.
    """

    def __init__(
        self,
        layout: NDArray[np.int64],
        table: NDArray[np.float32],
        scores: TensorInfo,
        objectness: TensorInfo,
    ) -> None:
        self.impossible = False
        self._table = table
        self._layout = layout
        self._searched = objectness if layout[places.OBJECT_STEP] else scores
        element_type = scores.dtype.name
        self._limit = np.zeros(1, element_type)
        self.select = self._choose(element_type)

    def set_threshold(self, threshold: float) -> None:
        """Find the least element, or difference of logits, that can reach the threshold."""
        self.impossible = False
        if self._table.size:
            scores = self._table[0]
            if self._layout[places.OBJECT_STEP]:
                # With the surest class: no score can be greater, also after rounding.
                scores = self._table[1] * min(scores.max(), np.float32(1))
            least = least_element(scores, threshold, self._searched.dtype)
            self.impossible = least is None
            self._limit[0] = least or 0
        elif self._layout[places.KIND] == PROBABILITY:
            self._limit[0] = least_probability(threshold)
        else:
            self._limit[0] = least_logit(threshold)

    def _choose(self, element_type: str) -> _Select:
        layout, table, limit = self._layout, self._table, self._limit
        if layout[places.OBJECT_STEP]:
            prepare(select_present, element_type)
            return lambda scores, objectness, settings, *candidates: select_present(
                objectness, scores, limit, table, layout, settings, *candidates
            )
        if layout[places.KIND] == SOFTMAX:
            prepare(select_softmax)
            return lambda scores, _, settings, *candidates: select_softmax(
                scores, limit, layout, settings, *candidates
            )
        if layout[places.SCORE_STEP] != 1:
            prepare(select_rows, element_type)
            return lambda scores, _, settings, *candidates: select_rows(
                scores, limit, table, layout, settings, *candidates
            )
        prepare(select_columns, element_type)
        scratch = _scratch(layout, element_type)
        return lambda scores, _, settings, *candidates: select_columns(
            scores, limit, table, layout, settings, *scratch, *candidates
        )


def _scratch(layout: NDArray[np.int64], element_type: str) -> tuple[NDArray[Any], ...]:
    """What `select_columns` writes into."""
    count = int(layout[places.CANDIDATES])
    return (
        np.zeros(count, element_type),
        np.zeros(count, np.int16),
        np.zeros(-(-count // BLOCK), np.uint8),
    )
