"""The decoder for YOLO models, versions 3 and 4, with split or joined heads."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_detect.core import Detections, Letterbox, ModelError, Size
from edge_detect.kernels import yolo as places
from edge_detect.kernels.quantize import LOGIT, PROBABILITY
from edge_detect.kernels.registry import prepare
from edge_detect.kernels.yolo import collect_grid
from edge_detect.models.sections.yolo import YoloHead, YoloSpec
from edge_detect.models.spec import ModelSpec
from edge_detect.models.tables import (
    exponential,
    least_element,
    least_logit,
    least_probability,
    logistic,
    probability,
    shift_of,
    table_of,
)
from edge_detect.models.tensors import TensorInfo, Thresholds
from edge_detect.models.workspace import TensorReader, Workspace, output_named

__all__ = ["YoloDecoder"]

_Floats = NDArray[np.float64]


class _Grid:
    """One head: what its tensors mean, and the kernel's arguments made of it."""

    def __init__(
        self, spec: ModelSpec, yolo: YoloSpec, head: YoloHead, outputs: Mapping[str, TensorInfo]
    ) -> None:
        self._new_coords = yolo.new_coords
        names = _tensor_names(spec, head)
        self._reader = TensorReader(output_named(spec.name, outputs, name) for name in names)
        self._joined = len(names) == 1
        size, classes = spec.input.frame_size, len(spec.labels)
        self._layout = _layout(head, size, classes, joined=self._joined)
        self._check(spec.name, names)
        self._layout[places.SHIFT] = shift_of(self._reader.infos[0].dtype)
        self._layout[places.KIND] = PROBABILITY if yolo.new_coords else LOGIT
        self._layout[places.NEW_COORDS] = yolo.new_coords
        self._anchors = np.array(head.anchors, np.float32)
        self._scales = np.array([head.stride, head.scale_x_y], np.float64)
        self._table = self._tabulate(head.scale_x_y)
        self._limit = np.zeros(1, self._reader.element_type)
        self._impossible = False
        prepare(collect_grid, self._reader.element_type)

    @property
    def anchor_count(self) -> int:
        """Number of anchors in all cells."""
        return int(self._layout[places.CELLS] * self._layout[places.ANCHORS])

    def set_threshold(self, threshold: float) -> None:
        """Find the least objectness that can reach the threshold."""
        if self._table.size:
            # With the surest class: no score can be greater, also after rounding.
            scores = self._table[0] * self._table[1].max()
            least = least_element(scores, threshold, self._reader.infos[0].dtype)
            self._impossible = least is None
            self._limit[0] = least or 0
        elif not self._new_coords:
            self._limit[0] = least_logit(threshold)
        else:
            self._limit[0] = least_probability(threshold)

    def collect(
        self,
        outputs: dict[str, NDArray[Any]],
        settings: _Floats,
        boxes: NDArray[np.float32],
        notes: NDArray[np.int32],
        count: int,
    ) -> int:
        """Append this grid's candidates; see `kernels.yolo.collect_grid`."""
        if self._impossible:
            return count
        tensors = self._reader.read(outputs)
        if self._joined:
            tensors = tensors * 3
        return int(
            collect_grid(
                *tensors, self._limit, self._table, self._anchors, self._scales, self._layout,
                settings, boxes, notes, count,
            )
        )  # fmt: skip

    def _check(self, model: str, names: list[str]) -> None:
        layout = self._layout
        steps = [places.BOX_STEP] if self._joined else _STEPS
        for name, info, step in zip(names, self._reader.infos, steps, strict=True):
            wanted = self.anchor_count * int(layout[step])
            if math.prod(info.shape) != wanted:
                rows = int(layout[places.CELLS] // layout[places.COLUMNS])
                shape = (1, rows, int(layout[places.COLUMNS]), wanted // int(layout[places.CELLS]))
                raise ModelError(
                    f"{model}: output {name!r} has shape {info.shape}, the manifest asks for"
                    f" {shape}",
                    "correct labels, input size, or stride and anchors of the head",
                )

    def _tabulate(self, stretch: float) -> NDArray[np.float32]:
        infos = self._reader.infos
        box, objectness, classes = infos * 3 if self._joined else infos

        def centre(real: _Floats) -> _Floats:
            return (real if self._new_coords else logistic(real)) * stretch - 0.5 * (stretch - 1)

        def growth(real: _Floats) -> _Floats:
            return 4 * real * real if self._new_coords else exponential(real)

        score: Callable[[_Floats], _Floats] = probability if self._new_coords else logistic
        return table_of(
            (objectness, score), (classes, score),
            (box, centre), (box, centre), (box, growth), (box, growth),
        )  # fmt: skip


_STEPS = [places.BOX_STEP, places.OBJECT_STEP, places.CLASS_STEP]


def _tensor_names(spec: ModelSpec, head: YoloHead) -> list[str]:
    outputs = head.outputs
    keys = {"raw": ("joined",), "split": ("boxes", "objectness", "classes")}[spec.head]
    for key in keys:
        if key not in outputs:
            raise ModelError(
                f"manifest of {spec.name}: the {spec.head} head of stride {head.stride}"
                f" needs an output {key!r}"
            )
    return [name for key in keys for given, name in outputs.items() if given == key]


def _layout(head: YoloHead, size: Size, classes: int, *, joined: bool) -> NDArray[np.int64]:
    layout = np.zeros(places.LAYOUT_LENGTH, np.int64)
    columns, rows = size.width // head.stride, size.height // head.stride
    layout[places.CELLS] = columns * rows
    layout[places.COLUMNS] = columns
    layout[places.ANCHORS] = len(head.anchors)
    layout[places.CLASSES] = classes
    if joined:
        layout[_STEPS] = 5 + classes
        layout[places.OBJECT_START] = 4
        layout[places.CLASS_START] = 5
    else:
        layout[_STEPS] = 4, 1, classes
    return layout


class YoloDecoder:
    """Decodes the grids of a YOLO.

    Args:
        spec: The manifest, family `yolo`.
        yolo: Its section.
        outputs: What the model file says about its outputs, by name.

    Raises:
        ModelError: The tensors do not fit the manifest.
    """

    def __init__(self, spec: ModelSpec, yolo: YoloSpec, outputs: Mapping[str, TensorInfo]) -> None:
        self._grids = [_Grid(spec, yolo, head, outputs) for head in yolo.heads]
        capacity = sum(grid.anchor_count for grid in self._grids)
        self._workspace = Workspace(spec.nms, spec.labels, capacity, spec.name)

    def decode(
        self, outputs: dict[str, NDArray[Any]], letterbox: Letterbox, thresholds: Thresholds
    ) -> Detections:
        """Decode one inference; see `Decoder`."""
        workspace = self._workspace
        if workspace.configure(letterbox, thresholds):
            for grid in self._grids:
                grid.set_threshold(thresholds.score)
        settings = workspace.settings

        def collect(boxes: NDArray[np.float32], notes: NDArray[np.int32]) -> int:
            count = 0
            for grid in self._grids:
                count = grid.collect(outputs, settings, boxes, notes, count)
            return count

        return workspace.decode(collect)
