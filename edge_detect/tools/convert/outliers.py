"""Pictures on which a float network leaves the range that it was trained for.

A face detector of MediaPipe answers one photo of a raccoon with values twenty times as large as
any other. Ranges that hold these leave a few steps for everything else.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from edge_detect.tools.convert.interpreter import open_interpreter
from edge_detect.tools.convert.output_error import read_outputs

__all__ = ["usual_pictures"]

# Ordinary pictures differ by less than 2.
_RATIO = 4.0
_LEAST_PICTURES = 4


def usual_pictures(content: bytes, inputs: Iterable[NDArray[np.float32]]) -> NDArray[np.bool_]:
    """Which pictures a network answers with values of the usual size.

    Args:
        content: A float TFLite file.
        inputs: Pictures, as the network takes them.

    Returns:
        One entry per picture. False where the root mean square of an output is more than four
        times its median over the pictures; of less than four pictures all are usual.
    """
    interpreter = open_interpreter(content, keep=False)
    sizes = [
        [float(np.sqrt(np.mean(np.square(values, dtype=np.float64)))) for values in found.values()]
        for found in (read_outputs(interpreter, pixels) for pixels in inputs)
    ]
    if len(sizes) < _LEAST_PICTURES:
        return np.ones(len(sizes), np.bool_)
    sizes_array = np.array(sizes)
    return np.asarray((sizes_array <= _RATIO * np.median(sizes_array, axis=0)).all(axis=1))
