"""What every front end hands to the quantizer: a float network without variables."""

import os
from dataclasses import dataclass
from typing import Any

from edge_detect.core import DependencyError, Size

__all__ = ["FloatModel", "load_tensorflow"]


@dataclass(frozen=True)
class FloatModel:
    """A float32 network, ready to be calibrated and quantized.

    Attributes:
        function: TensorFlow concrete function of one float32 tensor (1, height, width,
            channels), values in `input_range`; returns a dict of output name to tensor. All
            weights are constants.
        input_size: Width and height of the input in pixels.
        input_range: Real values of a black and of a white pixel.
        outputs: Names of the outputs, in the order in which the manifest uses them.
        channels: Of the input: 3 (R, G, B) or 1 (grey).
    """

    function: Any
    input_size: Size
    input_range: tuple[float, float]
    outputs: tuple[str, ...]
    channels: int = 3


def load_tensorflow() -> Any:
    """Import TensorFlow, which only conversion needs.

    Raises:
        DependencyError: It is not installed; the hint is the install line.
    """
    # Read once, when TensorFlow is imported: its start-up notices are not for our users.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        import tensorflow as tf
    except ImportError as error:
        raise DependencyError(
            f"converting models needs TensorFlow: {error}",
            "pip install 'edge-detect[convert]'",
        ) from error
    return tf
