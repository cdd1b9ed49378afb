"""What the 256 elements of a quantized tensor mean, computed once per model.

All numbers are defined here: a real number is `float32(element - zero_point) * float32(scale)`,
a score is the float32 nearest to its logistic function, computed in float64. Thresholds are
found by searching these tables, so comparing integers selects exactly what comparing the
dequantized scores would.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_detect.core import ModelError
from edge_detect.models.tensors import TensorInfo

__all__ = [
    "EMPTY",
    "exponential",
    "least_element",
    "least_logit",
    "least_probability",
    "logistic",
    "probability",
    "real_values",
    "shift_of",
    "table_of",
    "unheld_probability",
]

Floats = NDArray[np.float32]

# The table of tensors that are not quantized.
EMPTY = np.empty((0, 0), np.float32)


def shift_of(dtype: np.dtype[Any]) -> int:
    """What is added to an element to index a table."""
    return 128 if dtype == np.int8 else 0


def real_values(info: TensorInfo) -> NDArray[np.float64]:
    """The real number behind each of the 256 elements, least first.

    Raises:
        ModelError: The tensor holds integers without a usable scale.
    """
    if not (math.isfinite(info.scale) and info.scale > 0):
        raise ModelError(
            f"tensor {info.name!r} is {info.dtype} with scale {info.scale}",
            "convert the model again: quantized outputs need a scale above 0",
        )
    elements = np.arange(256) - shift_of(info.dtype) - info.zero_point
    with np.errstate(over="ignore"):
        return (elements.astype(np.float32) * np.float32(info.scale)).astype(np.float64)


def logistic(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 / (1 + exp(-x)), also for x so small that exp(-x) is infinite."""
    with np.errstate(over="ignore"):
        return 1.0 / (1.0 + np.exp(-values))


def probability(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Numbers that are probabilities already, held within 0 to 1."""
    return np.clip(values, 0.0, 1.0)


def unheld_probability(step: float) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """As `probability`, but what lies above 1 stays, so that kernels can count it.

    Args:
        step: Difference between elements; 1 may be missed by so much.
    """

    def function(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.where(values <= 1.0 + step, np.clip(values, 0.0, 1.0), values)

    return function


def exponential(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """exp(x); infinite where it is too large for float32."""
    with np.errstate(over="ignore"):
        return np.exp(values)


def table_of(*rows: tuple[TensorInfo, Callable[[NDArray[np.float64]], Any]]) -> Floats:
    """One table: a function of each element of a tensor per row; EMPTY for float tensors.

    Args:
        rows: The tensor and the function of its real values, for each row.

    Returns:
        (rows, 256) float32.
    """
    if rows[0][0].dtype == np.float32:
        return EMPTY
    with np.errstate(over="ignore"):
        return np.ascontiguousarray([f(real_values(info)) for info, f in rows], np.float32)


def least_element(scores: Floats, threshold: float, dtype: np.dtype[Any]) -> int | None:
    """The least integer whose score reaches the threshold; None if there is none.

    Args:
        scores: (256,) float32, the score of each element, never falling.
        threshold: Compared as float32.
        dtype: int8 or uint8.
    """
    index = int(np.searchsorted(scores, np.float32(threshold), side="left"))
    return None if index == 256 else index - shift_of(dtype)


def least_logit(threshold: float) -> float:
    """A logit a little below the one whose logistic function is the threshold.

    Values that reach it are compared again by their score, so it may be too low but never
    too high.
    """
    # Scores above this round to 1 in float32.
    threshold = min(float(np.float32(threshold)), 1.0 - 2.0**-25)
    if threshold <= 0:
        return -math.inf
    logit = math.log(threshold) - math.log1p(-threshold)
    return logit - 1e-4 * (1.0 + abs(logit))


def least_probability(threshold: float) -> float:
    """The least element of a float tensor of probabilities that reaches the threshold.

    Probabilities below 0 count as 0, which a threshold that float32 rounds to 0 lets pass.
    """
    rounded = float(np.float32(threshold))
    return rounded if rounded > 0 else -math.inf
