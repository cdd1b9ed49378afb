"""Constant tensors of a TFLite file, read without a runtime.

Runtimes give inputs and outputs alone, and accelerators have no others; the anchors that an
exporter left in a file are a constant between them.

Reference:
    The FlatBuffers project, "FlatBuffers Internals" (layout of tables and vectors), and
    TensorFlow's schema.fbs, version 3 (numbers of the fields and of the types).
"""

import math
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_detect.core import ModelError

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
        (root,) = struct.unpack_from("<I", content)
        model = _Table(content, root)
        for graph in model.tables(_SUBGRAPHS):
            for tensor in graph.tables(_TENSORS):
                if tensor.array(_NAME, "u1").tobytes() == name.encode():
                    values = _values(model, tensor)
                    if values is not None:
                        return values
            break
    except OSError as error:
        raise ModelError(f"cannot read model {path}: {error.strerror}") from error
    except (struct.error, ValueError, KeyError) as error:
        raise ModelError(f"the constants of {path} cannot be read: {error!r}") from error
    raise ModelError(
        f"{path} has no constant tensor {name!r}",
        "name the one that holds the anchors in [ssd.anchors] of the manifest",
    )


def _values(model: "_Table", tensor: "_Table") -> NDArray[np.float32] | None:
    """Real values of a tensor; None if it has none in the file."""
    buffers = list(model.tables(_BUFFERS))
    number = tensor.number(_BUFFER, "<I")
    if number >= len(buffers):
        raise ValueError(f"buffer {number} of {len(buffers)}")
    data = buffers[number].array(_DATA, "u1")
    if not data.size:
        return None
    shape = tuple(int(size) for size in tensor.array(_SHAPE, "<i4"))
    elements = data.view(_TYPES[tensor.number(_TYPE, "<b")])
    if min(shape, default=1) < 0 or math.prod(shape) != elements.size:
        raise ValueError(f"{elements.size} elements in a shape {shape}")
    values = elements.reshape(shape).astype(np.float32)
    for quantization in tensor.table(_QUANTIZATION):
        scales = quantization.array(_SCALE, "<f4")
        if scales.size > 1:
            raise ValueError("it has a scale for each channel")
        if scales.size:
            zero_points = quantization.array(_ZERO_POINT, "<i8")
            values = (values - np.float32(zero_points[0] if zero_points.size else 0)) * scales[0]
    return values


class _Table:
    """A table of a FlatBuffer; a field that it does not have is empty or 0."""

    def __init__(self, content: bytes, at: int) -> None:
        self._content, self._at = content, at
        (to_vtable,) = struct.unpack_from("<i", content, at)
        self._vtable = at - to_vtable
        if self._vtable < 0:
            raise ValueError("it points at something before its beginning")
        (self._vtable_bytes,) = struct.unpack_from("<H", content, self._vtable)

    def number(self, field: int, kind: str) -> int:
        """A plain number."""
        place = self._place(field)
        return int(struct.unpack_from(kind, self._content, place)[0]) if place else 0

    def array(self, field: int, dtype: str) -> NDArray[np.generic]:
        """A list of numbers, or the bytes of a string."""
        first, count = self._list(field)
        return np.frombuffer(self._content, dtype, count, first) if count else np.empty(0, dtype)

    def table(self, field: int) -> Iterator["_Table"]:
        """The one table that a field points at, if it does."""
        if place := self._place(field):
            yield self._follow(place)

    def tables(self, field: int) -> Iterator["_Table"]:
        """A list of tables."""
        first, count = self._list(field)
        for place in range(first, first + 4 * count, 4):
            yield self._follow(place)

    def _list(self, field: int) -> tuple[int, int]:
        place = self._place(field)
        if not place:
            return 0, 0
        start = place + int(struct.unpack_from("<I", self._content, place)[0])
        (count,) = struct.unpack_from("<I", self._content, start)
        return start + 4, count

    def _follow(self, place: int) -> "_Table":
        return _Table(self._content, place + int(struct.unpack_from("<I", self._content, place)[0]))

    def _place(self, field: int) -> int:
        """Where a field's value lies; 0 if the table does not have it."""
        at = 4 + 2 * field
        if at + 2 > self._vtable_bytes:
            return 0
        (offset,) = struct.unpack_from("<H", self._content, self._vtable + at)
        return self._at + offset if offset else 0
