"""What every front end hands to the quantizer: a float network without variables."""

import logging
import os
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_detect.core import DependencyError, ModelError, Size
from edge_detect.tools.convert.flatbuffer import Graph
from edge_detect.tools.convert.interpreter import open_interpreter

__all__ = ["FloatModel", "float_tflite", "load_tensorflow"]


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
    # oneDNN's convolution with a sum and a leaky ReLU in it takes another slope (TensorFlow
    # 2.21: 0.2 instead of 0.1), so that the float network would be a wrong reference.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    try:
        import tensorflow as tf
    except ImportError as error:
        raise DependencyError(
            f"converting models needs TensorFlow: {error}",
            "pip install 'edge-detect[convert]'",
        ) from error
    for name in ("absl", "tensorflow"):
        logging.getLogger(name).addFilter(_is_for_users)
    warnings.filterwarnings("ignore", r"\s*Warning: tf\.lite\.Interpreter is deprecated")
    return tf


def _is_for_users(record: logging.LogRecord) -> bool:
    """Whether a line of TensorFlow's log says more than that its callers should be changed."""
    return "deprecated" not in record.getMessage()


def float_tflite(model: FloatModel) -> bytes:
    """Convert a network to a float32 TFLite file whose outputs bear their names.

    Raises:
        ModelError: The converted network does not compute the same as the original.
    """
    tf = load_tensorflow()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([model.function])
    content: bytes = converter.convert()
    width, height = model.input_size
    low, high = model.input_range
    noise = np.random.default_rng(1).uniform(low, high, (1, height, width, model.channels))
    image = noise.astype(np.float32)
    wanted = model.function(tf.constant(image))
    interpreter = open_interpreter(content)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
    interpreter.invoke()
    given = {
        detail["index"]: interpreter.get_tensor(detail["index"])
        for detail in interpreter.get_output_details()
    }
    # The converter sorts outputs as it likes and forgets their names; values tell.
    graph = Graph(content)
    graph.set_outputs({name: _twin(name, wanted[name].numpy(), given) for name in model.outputs})
    return graph.to_bytes()


def _twin(name: str, wanted: NDArray[Any], given: dict[int, NDArray[Any]]) -> int:
    scale = max(1.0, float(np.abs(wanted).max()))
    for index, values in given.items():
        if values.shape == wanted.shape and np.abs(values - wanted).max() <= 1e-3 * scale:
            return index
    raise ModelError(f"no output of the converted network equals {name!r} of the original")
