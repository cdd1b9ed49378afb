"""Constant tensors of a TFLite file, read without a runtime.

Runtimes give inputs and outputs alone, and accelerators have no others; the anchors that an
exporter left in a file are a constant between them.

Reference:
    TensorFlow's schema.fbs, version 3 (numbers of the fields and of the types).
"""

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_detect.core import ModelError
from edge_detect.models.file.flatbuffer import Table, root_table

__all__ = ["read_constant"]

_TYPES = {0: "<f4", 1: "<f2", 2: "<i4", 3: "u1", 7: "<i2", 9: "i1"}
# Numbers of fields.
_SUBGRAPHS, _BUFFERS = 2, 4
_TENSORS = 0
_SHAPE, _TYPE, _BUFFER, _NAME, _QUANTIZATION = 0, 1, 2, 3, 4
_SCALE, _ZERO_POINT = 2, 3
_DATA = 0


def read_constant(path: Path, name: str) -> NDArray[np.float32]:
    """The real values of a constant tensor of a model's first graph.

    Args:
        path: The model file.
        name: Of the tensor.

    Returns:
        float32 of the tensor's shape; quantized elements are `(element - zero_point) * scale`.

    Raises:
        ModelError: There is no such constant, its type is not known, or the file is damaged.
    """
    try:
        content = path.read_bytes()
        model = root_table(content)
        for graph in model.tables(_SUBGRAPHS):
            for tensor in graph.tables(_TENSORS):
                if tensor.data(_NAME) == name.encode():
                    values = _values(model, tensor)
                    if values is not None:
                        return values
            break
    except OSError as error:
        raise ModelError(f"cannot read model {path}: {error.strerror}") from error
    except (ValueError, KeyError) as error:
        raise ModelError(f"the constants of {path} cannot be read: {error!r}") from error
    raise ModelError(
        f"{path} has no constant tensor {name!r}",
        "name the one that holds the anchors in [ssd.anchors] of the manifest",
    )


def _values(model: Table, tensor: Table) -> NDArray[np.float32] | None:
    """Real values of a tensor; None if it has none in the file."""
    buffers = model.tables(_BUFFERS)
    number = tensor.number(_BUFFER, "I")
    if number >= len(buffers):
        raise ValueError(f"buffer {number} of {len(buffers)}")
    data = buffers[number].data(_DATA)
    if not data:
        return None
    shape = tensor.numbers(_SHAPE, "i")
    elements = np.frombuffer(data, _TYPES[tensor.number(_TYPE, "b")])
    if min(shape, default=1) < 0 or math.prod(shape) != elements.size:
        raise ValueError(f"{elements.size} elements in a shape {shape}")
    values = elements.reshape(shape).astype(np.float32)
    quantization = tensor.table(_QUANTIZATION)
    scales = quantization.numbers(_SCALE, "f") if quantization is not None else ()
    if quantization is None or not scales:
        return values
    if len(scales) > 1:
        raise ValueError("it has a scale for each channel")
    zero_points = quantization.numbers(_ZERO_POINT, "q")
    zero_point = np.float32(zero_points[0] if zero_points else 0)
    return np.asarray((values - zero_point) * np.float32(scales[0]))
