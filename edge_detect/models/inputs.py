"""Whether the input of a model file is one picture, from the description of its tensors alone."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from edge_detect.core import ModelError, Size
from edge_detect.models.tensors import INPUT_TYPES, TensorInfo

__all__ = ["PictureInput", "describe_input", "shape_to_set"]

_CHANNELS = (1, 3)
# What inputs are called through which a recurrent network gets its state back.
_STATE = re.compile(
    r"lstm|gru|rnn|state|hidden|memory|(^|[/_:])[hc](_?in|_?\d+)?(:\d+)?$", re.IGNORECASE
)
_LISTED = 4


@dataclass(slots=True, frozen=True)
class PictureInput:
    """An input that takes one picture, (1, height, width, channels).

    Attributes:
        tensor: The tensor.
        size: Width and height in pixels; None if the file leaves one of them open.
        channels: 1 (grey) or 3; None if the file leaves it open.
    """

    tensor: TensorInfo
    size: Size | None
    channels: int | None


def describe_input(model: str, inputs: Sequence[TensorInfo]) -> PictureInput:
    """What a model takes.

    Args:
        model: File name for messages.
        inputs: All inputs of the file.

    Raises:
        ModelError: It does not take one picture at a time, channels last, of a known type;
            names the tensor, and what to do.
    """
    if len(inputs) != 1:
        raise _not_one(model, inputs)
    tensor = inputs[0]
    stated = _stated(tensor)
    if len(stated) != 4:
        raise ModelError(
            f"{model} takes no picture: its input {tensor.name!r} has the shape"
            f" {_by(tensor.shape)}",
            "a picture has the shape 1 x height x width x channels: export the whole network",
        )
    batch, *rows_columns, channels = stated
    if batch not in (1, -1):
        raise ModelError(
            f"{model} takes batches of {batch} pictures: its input {tensor.name!r} has the shape"
            f" {_by(tensor.shape)}",
            "export it with batch size 1",
        )
    if channels not in (*_CHANNELS, -1) or (channels == -1 and rows_columns[0] in _CHANNELS):
        raise _other_channels(model, tensor, stated)
    if tensor.dtype.name not in INPUT_TYPES:
        raise ModelError(
            f"{model} has an input of type {tensor.dtype} ({tensor.name!r})",
            f"convert the model with an input of type {', '.join(INPUT_TYPES)}",
        )
    height, width = rows_columns
    size = None if -1 in rows_columns else Size(width, height)
    return PictureInput(tensor, size, None if channels == -1 else channels)


def shape_to_set(tensor: TensorInfo, wanted: Sequence[int]) -> tuple[int, ...] | None:
    """The shape to give to an input before tensors are allocated.

    Args:
        tensor: The input, as in the file.
        wanted: Its shape by the manifest.

    Returns:
        `wanted` in the dimensions that the file leaves open; None if nothing is to be set.
    """
    stated = _stated(tensor)
    if len(stated) != len(wanted) or -1 not in stated:
        return None
    shape = tuple(
        wish if extent == -1 else extent for extent, wish in zip(stated, wanted, strict=True)
    )
    return None if shape == tensor.shape else shape


def _stated(tensor: TensorInfo) -> tuple[int, ...]:
    """The shape with -1 where the file leaves it open."""
    if tensor.signature:
        return tensor.signature
    shape = tensor.shape
    # Converters before TensorFlow 2 write 1 for what is open; no detector sees one pixel.
    if len(shape) == 4 and shape[1:3] == (1, 1) and shape[3] in _CHANNELS:
        return (shape[0], -1, -1, shape[3])
    return shape


def _not_one(model: str, inputs: Sequence[TensorInfo]) -> ModelError:
    listed = [f"{each.name!r} {_by(each.shape)}" for each in inputs[:_LISTED]]
    more = f" and {len(inputs) - _LISTED} more" if len(inputs) > _LISTED else ""
    named = f": {', '.join(listed)}{more}" if inputs else ""
    states = [each.name for each in inputs if _STATE.search(each.name)]
    hint = (
        f"it gets state of the frame before back ({states[0]}): use a model without recurrent"
        " layers"
        if states
        else "export the network with the picture as its only input"
    )
    return ModelError(f"{model} has {len(inputs)} inputs; one image is needed{named}", hint)


def _other_channels(model: str, tensor: TensorInfo, stated: Sequence[int]) -> ModelError:
    shape = _by(stated)
    if stated[1] in _CHANNELS:
        return ModelError(
            f"{model} takes pictures with the channels first: its input {tensor.name!r} has the"
            f" shape {shape}",
            "TFLite works with the channels last: convert the ONNX file with onnx2tf, which"
            " changes the order, or export for TFLite directly",
        )
    return ModelError(
        f"{model} takes pictures of {stated[3]} channels: its input {tensor.name!r} has the shape"
        f" {shape}",
        "cameras give 3 channels (colour) or 1 (grey): use a model for these",
    )


def _by(shape: Sequence[int]) -> str:
    return "x".join("?" if extent == -1 else str(extent) for extent in shape) or "()"
