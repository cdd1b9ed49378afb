"""What a runtime tells about a tensor, and what a decoder is asked for."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_detect.core import Detections, Letterbox

__all__ = ["INPUT_TYPES", "Decoder", "TensorInfo", "Thresholds", "override"]

# Element types of inputs that a picture can be written into.
INPUT_TYPES = ("uint8", "int8", "int16", "float16", "float32")


@dataclass(slots=True, frozen=True)
class TensorInfo:
    """One input or output tensor; `real = (quantized - zero_point) * scale`.

    Attributes:
        name: As the model file says.
        index: The runtime's number for it.
        shape: Including the batch dimension.
        dtype: NumPy type of the elements.
        scale: 0 for a tensor that is not quantized.
        zero_point: 0 for a tensor that is not quantized.
        signature: The shape that the file states, where it leaves dimensions open (-1); empty
            where it does not.
    """

    name: str
    index: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    scale: float = 0.0
    zero_point: int = 0
    signature: tuple[int, ...] = ()


@dataclass(slots=True, frozen=True)
class Thresholds:
    """What is reported.

    Attributes:
        score: Least score, 0 to 1.
        iou: Overlap above which the lesser of two boxes is suppressed, 0 to 1.
        max_detections: At most so many, best first.
        multi_label: Whether one anchor may give several classes.
    """

    score: float
    iou: float
    max_detections: int
    multi_label: bool = False


def override(
    thresholds: Thresholds,
    score: float | None = None,
    iou: float | None = None,
    max_detections: int | None = None,
    multi_label: bool | None = None,  # noqa: FBT001
) -> Thresholds:
    """Thresholds with everything replaced that is not None.

    Raises:
        ValueError: A number is out of range.
    """
    if score is not None and not 0 <= score <= 1:
        raise ValueError(f"score_threshold must be from 0 to 1, got {score}")
    if iou is not None and not 0 <= iou <= 1:
        raise ValueError(f"iou_threshold must be from 0 to 1, got {iou}")
    if max_detections is not None and max_detections < 1:
        raise ValueError(f"max_detections must be at least 1, got {max_detections}")
    return Thresholds(
        score=thresholds.score if score is None else float(score),
        iou=thresholds.iou if iou is None else float(iou),
        max_detections=thresholds.max_detections if max_detections is None else max_detections,
        multi_label=thresholds.multi_label if multi_label is None else multi_label,
    )


class Decoder(Protocol):
    """Turns a model's raw outputs into detections.

    Attributes:
        reads: Names of the output tensors that `decode` reads.
    """

    reads: tuple[str, ...]

    def decode(
        self, outputs: dict[str, NDArray[Any]], letterbox: Letterbox, thresholds: Thresholds
    ) -> Detections:
        """Decode one inference.

        Args:
            outputs: Views of the output tensors by tensor name, batch dimension included;
                read, never kept.
            letterbox: How the frame lay in the model's input.
            thresholds: What is reported.
        """
        ...
