"""Scores and numbers behind quantized tensors, and the search for the few that matter.

Kernels take the same arguments for every element type. For int8 and uint8, functions of one
element are tables with 256 entries, indexed by `element + shift` (shift 128 and 0). For
float32 the tables are empty and the functions are computed.
"""

import math

import numpy as np

from edge_detect.kernels.registry import TENSOR_TYPES, helper, kernel

__all__ = [
    "BLOCK",
    "LOGIT",
    "PROBABILITY",
    "SOFTMAX",
    "any_reaches",
    "dequantize",
    "score_of",
    "share_of",
]

# What an element of a score tensor means.
LOGIT = 0
PROBABILITY = 1
SOFTMAX = 2

# Elements that are searched at once: one cache line of bytes.
BLOCK = 64


@helper
def score_of(element, row, table, shift, kind):
    """The score behind one element.

    Args:
        element: int8, uint8 or float32.
        row: Row of the table.
        table: (rows, 256) float32, or empty for float32 tensors.
        shift: Added to an integer element to index the table.
        kind: LOGIT or PROBABILITY, for float32 tensors.

    Returns:
        float32, 0 to 1; NaN for NaN.
    """
    if table.size:
        return table[row, np.int64(element) + shift]
    value = np.float64(element)
    if kind == LOGIT:
        return np.float32(1.0 / (1.0 + math.exp(-value)))
    if value < 0.0:
        value = 0.0
    if value > 1.0:
        value = 1.0
    return np.float32(value)


@helper
def share_of(element, top, row, table):
    """Exp(element - top), the numerator of a softmax, without overflow.

    Args:
        element: int8, uint8 or float32.
        top: The greatest element.
        row: Row of the table: exp(-steps * scale) by the number of steps below the greatest.
        table: (rows, 256) float32, or empty for float32 tensors.
    """
    if table.size:
        return np.float64(table[row, np.int64(top) - np.int64(element)])
    return math.exp(np.float64(element) - np.float64(top))


@helper
def any_reaches(values, start, limit):
    """Whether one of the BLOCK values from `start` on is at least `limit`, or NaN.

    Unsigned indices, a flag as narrow as a byte and no exit from the loop make it a few vector
    instructions (measured: 0.6 instead of 23 ns per block).
    """
    hits = np.uint8(0)
    for i in range(np.uint64(start), np.uint64(start + BLOCK)):
        hits = np.uint8(hits | np.uint8(not values[i] < limit))
    return hits != 0


@kernel("void({T}[::1], float64, int64, float32[::1])", *TENSOR_TYPES, "int16", "int32")
def dequantize(values, scale, zero_point, out):
    """Turn quantized numbers into real ones: `(value - zero_point) * scale`.

    Args:
        values: (n,) quantized; float32 is copied if scale is 0.
        scale: Real step per quantization step; 0 means not quantized.
        zero_point: The element that means 0.
        out: (n,) float32, overwritten.
    """
    if scale == 0.0:
        for i in range(values.size):
            out[i] = values[i]
        return
    step = np.float32(scale)
    for i in range(values.size):
        out[i] = np.float32(np.float64(values[i]) - zero_point) * step
