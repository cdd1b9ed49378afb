"""Setting the size of an input that a model file leaves open."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from edge_detect.models.footprint import Footprint, least_footprint
from edge_detect.models.inputs import shape_to_set
from edge_detect.models.tensors import TensorInfo

__all__ = ["expected_footprint", "set_shape"]

# Sides are tried at this size at most, in multiples of the stride of most networks.
_TRIED = 320
_STRIDE = 32


def set_shape(
    interpreter: Any, inputs: Sequence[TensorInfo], wanted: Sequence[int] | None
) -> tuple[int, ...] | None:
    """Resize a model's only input where the file leaves its size open.

    Args:
        interpreter: Before its tensors are allocated.
        inputs: Of the model.
        wanted: Shape of the input by the manifest; None leaves everything as it is.

    Returns:
        What was set; None if nothing was.
    """
    if wanted is None or len(inputs) != 1:
        return None
    shape = shape_to_set(inputs[0], wanted)
    if shape is not None:
        interpreter.resize_tensor_input(inputs[0].index, shape)
    return shape


def expected_footprint(
    content: bytes,
    image: TensorInfo,
    shape: Sequence[int],
    open_plain: Callable[[], Any],
) -> Footprint:
    """What a model needs at least with its input at a size that the file leaves open.

    No file says how large the activations get, but they grow with the picture: a smaller one
    is tried where a large one is wanted.

    Args:
        content: The file.
        image: The input.
        shape: What it is to be set to.
        open_plain: Opens an interpreter in which all tensors have their true shapes.
    """
    least = least_footprint(content, {image.index: shape})
    if max(shape[1:3]) <= _TRIED:
        return least
    tried = _smaller(shape, image)
    interpreter = open_plain()
    try:
        interpreter.resize_tensor_input(image.index, tried)
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError):
        return least
    known = {
        each["index"]: tuple(each["shape"].tolist()) for each in interpreter.get_tensor_details()
    }
    growth = math.prod(shape) / math.prod(tried)
    return max(least, least_footprint(content, known, growth), key=lambda each: each.total_bytes)


def _smaller(shape: Sequence[int], image: TensorInfo) -> tuple[int, ...]:
    """A shape with the sides that the file leaves open shortened alike."""
    batch, *sides, channels = shape
    stated = (image.signature or (batch, -1, -1, channels))[1:3]
    share = _TRIED / max(sides)
    shorter = (
        max(_STRIDE, int(side * share) // _STRIDE * _STRIDE) if extent == -1 else side
        for side, extent in zip(sides, stated, strict=True)
    )
    return (batch, *shorter, channels)
