"""A look at all scores of the first frame: whether they can be what the manifest calls them."""

import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_detect.kernels import select as places
from edge_detect.kernels.quantize import LOGIT, PROBABILITY, SOFTMAX
from edge_detect.models.tensors import TensorInfo

__all__ = ["FirstLook"]

_log = logging.getLogger(__name__)

# Rounding of quantized probabilities stays above this.
_LEAST_PROBABILITY = -0.05


class FirstLook:
    """Logs once where probabilities are taken for logits, or logits for probabilities.

    Kernels count scores above 1 in every frame; logits below 1 show only by those below 0. Logits
    without a single one below 0 would give every box a score of at least 0.5; those of a softmax
    that all lie within 0 and 1 are its result.

    Args:
        model: Its name.
        key: The key of the manifest that says what scores are.
        info: The score tensor as it is read.
        layout: The kernels' description of it.
        logits: What logits are in this family.
    """

    def __init__(
        self,
        model: str,
        key: str,
        info: TensorInfo,
        layout: NDArray[np.int64],
        logits: str = "sigmoid",
    ) -> None:
        self._model = model
        self._key = key
        self._info = info
        self._layout = layout
        self._logits = logits
        self._done = False

    def __call__(self, scores: NDArray[Any]) -> None:
        """Look at one frame's scores, a flat tensor; later ones are not looked at."""
        if self._done:
            return
        self._done = True
        values = self._columns(scores)
        # NaN counts as nothing.
        least, greatest = np.fmin.reduce(values, axis=None), np.fmax.reduce(values, axis=None)
        if self._info.scale:
            zero_point, scale = self._info.zero_point, self._info.scale
            least = (np.float64(least) - zero_point) * scale
            greatest = (np.float64(greatest) - zero_point) * scale
        kind = self._layout[places.KIND]
        if kind == PROBABILITY and least < _LEAST_PROBABILITY:
            self._warn(least, greatest, self._logits)
        if kind == LOGIT and least >= 0:
            self._warn(least, greatest, "probability")
        if kind == SOFTMAX and least >= 0 and greatest <= 1:
            self._warn(least, greatest, "probability")

    def _columns(self, scores: NDArray[Any]) -> NDArray[Any]:
        """(candidates, classes) view of the scores."""
        layout = self._layout
        first, stop = int(layout[places.FIRST]), int(layout[places.STOP])
        step, column_step = int(layout[places.SCORE_STEP]), int(layout[places.COLUMN_STEP])
        start = int(layout[places.SCORE_START]) + first * column_step
        size = scores.itemsize
        return np.lib.stride_tricks.as_strided(
            scores[start:],
            (int(layout[places.CANDIDATES]), stop - first),
            (step * size, column_step * size),
            writeable=False,
        )

    def _warn(self, least: Any, greatest: Any, other: str) -> None:
        _log.warning(
            '%s: the scores of the first frame reach from %.3g to %.3g: %s = "%s" in the manifest'
            " would fit them",
            self._model,
            least,
            greatest,
            self._key,
            other,
        )
