"""The arrays that a decoder owns and its kernels work in."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_detect.core import Detections, Letterbox, ModelError
from edge_detect.kernels import candidates as places
from edge_detect.kernels.nms import rank, suppress
from edge_detect.kernels.quantize import dequantize
from edge_detect.kernels.registry import TENSOR_TYPES, prepare
from edge_detect.models.faults import FaultReport
from edge_detect.models.spec import NmsSpec
from edge_detect.models.tensors import TensorInfo, Thresholds

__all__ = ["TensorReader", "Workspace", "output_named"]

_INTEGERS = {"int8", "uint8", "int16", "int32"}
_METHODS = {"greedy": places.GREEDY, "diou": places.DIOU, "soft": places.SOFT}


class TensorReader:
    """Gives a decoder's tensors as flat arrays of one element type.

    Quantized tensors of one type, or float32 ones, are read where they are. If a model mixes
    types, or has others, all are dequantized into buffers of the reader.

    Args:
        infos: The tensors, in the order in which `read` returns them.
        as_real: Whether to dequantize in any case.

    Attributes:
        element_type: NumPy name of the type of what `read` returns.
        infos: What `read` returns.
        names: Of the output tensors that it reads.
    """

    def __init__(self, infos: Iterable[TensorInfo], *, as_real: bool = False) -> None:
        infos = list(infos)
        self.names = tuple(info.name for info in infos)
        types = {info.dtype.name for info in infos}
        self._direct = types == {"float32"} or (
            not as_real and len(types) == 1 and types <= set(TENSOR_TYPES)
        )
        self.element_type = min(types) if self._direct else "float32"
        self.infos = infos
        if self._direct:
            return
        self._scales = [(info.scale, info.zero_point) for info in infos]
        self._buffers = [np.empty(math.prod(info.shape), np.float32) for info in infos]
        for element_type in types & _INTEGERS:
            prepare(dequantize, element_type)
        prepare(dequantize, "float32")
        real = np.dtype(np.float32)
        self.infos = [TensorInfo(info.name, info.index, info.shape, real) for info in infos]

    def read(self, outputs: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """The tensors, one dimension each; valid until the next call."""
        if self._direct:
            return [_flat(outputs[name]) for name in self.names]
        for name, buffer, (scale, zero_point) in zip(
            self.names, self._buffers, self._scales, strict=True
        ):
            values = _flat(outputs[name])
            if values.dtype.name not in _INTEGERS:
                values = values.astype(np.float32)
            dequantize(values, scale, zero_point, buffer)
        return self._buffers


def output_named(model: str, outputs: Mapping[str, TensorInfo], name: str) -> TensorInfo:
    """One output of a model file.

    Raises:
        ModelError: The file has no output of that name; names those that it has.
    """
    if name not in outputs:
        raise ModelError(
            f"{model}: the manifest names an output {name!r} that the file does not have",
            f"it has {', '.join(sorted(outputs))}",
        )
    return outputs[name]


def _flat(tensor: NDArray[Any]) -> NDArray[Any]:
    flat = tensor.ravel()
    # Kernels are compiled for writable, contiguous arrays only; runtimes give such views.
    return flat if flat.flags.writeable else flat.copy()


class _Collect(Protocol):
    def __call__(self, boxes: NDArray[np.float32], notes: NDArray[np.int32]) -> int: ...


class _FindPoints(Protocol):
    def __call__(self, notes: NDArray[np.int32], total: int) -> NDArray[np.float32]: ...


class Workspace:
    """Candidates, settings and results of one decoder; used by one thread.

    Args:
        nms: The model's kind of suppression; None if the model does it itself, as for the
            method `none`.
        labels: All labels of the model.
        capacity: Candidates for which there is room at first; more is made when needed.
        model: Name of the model, for errors and warnings about impossible outputs.

    Attributes:
        settings: See `edge_detect.kernels.candidates`; kept up to date by `configure`.
    """

    def __init__(
        self, nms: NmsSpec | None, labels: Iterable[str], capacity: int, model: str = "the model"
    ) -> None:
        self.settings = np.zeros(places.SETTINGS_LENGTH)
        self._labels = tuple(labels)
        self.settings[places.LABELS] = len(self._labels)
        self._faults = FaultReport(model, len(self._labels), self.settings)
        self._finish: Callable[[int], int] = self._rank
        if nms is not None and nms.method != "none":
            self._finish = self._suppress
            self.settings[places.METHOD] = _METHODS[nms.method]
            self.settings[places.AGNOSTIC] = nms.class_agnostic
        prepare(rank if self._finish == self._rank else suppress)
        self._letterbox: Letterbox | None = None
        self._thresholds: Thresholds | None = None
        self._reserve(max(capacity, places.LEAST_CAPACITY))
        self._make_room(1)

    def configure(self, letterbox: Letterbox, thresholds: Thresholds) -> bool:
        """Take over this inference's settings.

        Returns:
            Whether the thresholds changed, so that what depends on them must be computed.

        Raises:
            ValueError: A threshold is not within its range.
        """
        if letterbox is not self._letterbox and letterbox != self._letterbox:
            self._set_letterbox(letterbox)
        if thresholds is self._thresholds or thresholds == self._thresholds:
            return False
        if not (0 <= thresholds.score <= 1 and 0 <= thresholds.iou <= 1):
            raise ValueError(f"thresholds must be within 0 and 1, got {thresholds}")
        if thresholds.max_detections < 1:
            raise ValueError(f"max_detections must be at least 1, got {thresholds}")
        settings = self.settings
        settings[places.SCORE] = np.float32(thresholds.score)
        settings[places.IOU] = thresholds.iou
        settings[places.MULTI_LABEL] = thresholds.multi_label
        self._thresholds = thresholds
        self._make_room(thresholds.max_detections)
        return True

    def decode(self, collect: _Collect, find_points: _FindPoints | None = None) -> Detections:
        """Collect candidates, choose among them, and copy the result.

        Args:
            collect: Appends candidates to the arrays it is given and returns their number.
            find_points: For models with key points: gives those of the boxes that were chosen.

        Raises:
            ModelError: Class numbers have no labels, and nothing was found before.
        """
        count = collect(self._boxes, self._notes)
        while count > self._boxes.shape[1]:
            self._reserve(count)
            self._make_room(self._thresholds.max_detections if self._thresholds else 1)
            self._faults.clear()
            count = collect(self._boxes, self._notes)
        self._faults.report(count)
        if count == 0 and find_points is None:
            return Detections.empty(self._labels)
        total = self._finish(count)
        return Detections(
            self._out_boxes[:total].copy(),
            self._out_scores[:total].copy(),
            self._out_ids[:total].copy(),
            self._labels,
            keypoints=None if find_points is None else find_points(self._notes, total),
        )

    def _suppress(self, count: int) -> int:
        return int(
            suppress(
                self._boxes, self._notes, count, self.settings, self._kept,
                self._out_boxes, self._out_scores, self._out_ids,
            )
        )  # fmt: skip

    def _rank(self, count: int) -> int:
        return int(
            rank(
                self._boxes, self._notes, count, self.settings,
                self._out_boxes, self._out_scores, self._out_ids,
            )
        )  # fmt: skip

    def _set_letterbox(self, letterbox: Letterbox) -> None:
        settings = self.settings
        settings[places.OFFSET_X] = letterbox.offset_x
        settings[places.OFFSET_Y] = letterbox.offset_y
        settings[places.SCALE_X] = letterbox.scale_x
        settings[places.SCALE_Y] = letterbox.scale_y
        settings[places.FRAME_WIDTH] = letterbox.frame.width
        settings[places.FRAME_HEIGHT] = letterbox.frame.height
        self._letterbox = letterbox

    def _reserve(self, capacity: int) -> None:
        self._boxes = np.zeros((5, capacity), np.float32)
        self._notes = np.zeros((5, capacity), np.int32)

    def _make_room(self, max_detections: int) -> None:
        room = min(max_detections, self._boxes.shape[1])
        self._kept = np.zeros((5, room), np.float32)
        self._out_boxes = np.zeros((room, 4), np.float32)
        self._out_scores = np.zeros(room, np.float32)
        self._out_ids = np.zeros(room, np.int32)
