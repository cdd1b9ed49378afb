"""The decoder for YOLO models whose outputs are grids with anchors."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate
from operator import mul
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
    shift_of,
    table_of,
    unheld_probability,
)
from edge_detect.models.tensors import TensorInfo, Thresholds
from edge_detect.models.workspace import TensorReader, Workspace, output_named

__all__ = ["YoloDecoder"]

_Floats = NDArray[np.float64]
_CODINGS = {
    "exponential": places.EXPONENTIAL,
    "squared": places.SQUARED,
    "linear": places.LINEAR,
}
_STEPS = [places.BOX_STEP, places.OBJECT_STEP, places.CLASS_STEP]
_STARTS = [places.BOX_START, places.OBJECT_START, places.CLASS_START]


class _Grid:
    """One head: what its tensors mean, and the kernel's arguments made of it.

    Args:
        yolo: The manifest's section.
        head: The head's part of it.
        infos: The box, objectness and class tensors; three times the joined one.
        layout: The kernel's description of the grid, but for what is in the section.
    """

    def __init__(
        self, yolo: YoloSpec, head: YoloHead, infos: list[TensorInfo], layout: NDArray[np.int64]
    ) -> None:
        self._yolo = yolo
        self._infos = infos
        self._layout = layout
        layout[places.SHIFT] = shift_of(infos[0].dtype)
        layout[places.KIND] = PROBABILITY if yolo.activated else LOGIT
        layout[places.CODING] = _CODINGS[yolo.coding]
        layout[places.CLASS_RULE] = _class_rule(yolo)
        layout[places.ANCHORS_FIRST] = yolo.layout == "anchors"
        self._anchors = np.array(yolo.anchors(head), np.float32)
        self._scales = np.array([head.stride, yolo.stretch(head)], np.float64)
        self._table = self._tabulate(yolo.stretch(head))
        self._limit = np.zeros(1, infos[0].dtype)
        self._impossible = False

    def set_threshold(self, threshold: float) -> None:
        """Find the least objectness that can reach the threshold."""
        if self._table.size:
            # With the surest class: no score can be greater, also after rounding.
            held = np.minimum(self._table[:2], np.float32(1))
            scores = held[0] * held[1].max()
            least = least_element(scores, threshold, self._infos[0].dtype)
            self._impossible = least is None
            self._limit[0] = least or 0
        elif self._yolo.activated:
            self._limit[0] = least_probability(threshold)
        else:
            self._limit[0] = least_logit(threshold)

    def collect(
        self,
        tensors: list[NDArray[Any]],
        settings: _Floats,
        boxes: NDArray[np.float32],
        notes: NDArray[np.int32],
        count: int,
    ) -> int:
        """Append this grid's candidates; see `kernels.yolo.collect_grid`."""
        if self._impossible:
            return count
        return int(
            collect_grid(
                *tensors, self._limit, self._table, self._anchors, self._scales, self._layout,
                settings, boxes, notes, count,
            )
        )  # fmt: skip

    def _tabulate(self, stretch: float) -> NDArray[np.float32]:
        box, objectness, classes = self._infos
        coding, activated = self._yolo.coding, self._yolo.activated

        def centre(real: _Floats) -> _Floats:
            if coding == "linear":
                return real
            return (real if activated else logistic(real)) * stretch - 0.5 * (stretch - 1)

        def growth(real: _Floats) -> _Floats:
            if coding != "squared":
                return exponential(real)
            part = real if activated else logistic(real)
            return 4 * part * part

        def shares(_: _Floats) -> _Floats:
            return exponential(np.arange(256) * -np.float64(np.float32(classes.scale)))

        def score(info: TensorInfo) -> Callable[[_Floats], _Floats]:
            return unheld_probability(info.scale) if activated else logistic

        chances: dict[int, Callable[[_Floats], _Floats]] = {
            places.INDEPENDENT: score(classes),
            places.SHARED: shares,
            places.OBJECTNESS_ALONE: np.ones_like,
        }
        return table_of(
            (objectness, score(objectness)), (classes, chances[_class_rule(self._yolo)]),
            (box, centre), (box, centre), (box, growth), (box, growth),
        )  # fmt: skip


class _Tensors:
    """The tensors of one head, or of several that lie one after another in them."""

    def __init__(
        self,
        spec: ModelSpec,
        yolo: YoloSpec,
        heads: list[YoloHead],
        outputs: Mapping[str, TensorInfo],
    ) -> None:
        self._spec = spec
        self._yolo = yolo
        names = _tensor_names(spec, yolo, heads[0])
        self._reader = TensorReader(output_named(spec.name, outputs, name) for name in names)
        self.reads = self._reader.names
        infos = self._reader.infos
        self._sizes = [_size_of(spec, yolo, head) for head in heads]
        self._total = sum(rows * columns * anchors for rows, columns, anchors in self._sizes)
        if len(infos) == 1:
            classes = self._class_columns(infos[0], 5)
            self._check(infos[0], 5 + classes)
        else:
            classes = len(spec.labels)
            for info, values in zip(infos, (4, 1, classes), strict=False):
                self._check(info, values)
        # Without class scores, any tensor will do in their place.
        three = infos * 3 if len(infos) == 1 else (infos + infos[1:])[:3]
        self._repeat = len(infos) == 1
        self._spare = len(infos) == 2
        layouts = self._layouts(classes, joined=self._repeat)
        self.grids = [
            _Grid(yolo, head, three, layout) for head, layout in zip(heads, layouts, strict=True)
        ]
        prepare(collect_grid, self._reader.element_type)

    @property
    def anchor_count(self) -> int:
        """Number of anchors in all cells of all grids."""
        return self._total

    def read(self, outputs: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """The kernel's three tensors, one dimension each; valid until the next call."""
        tensors = self._reader.read(outputs)
        if self._repeat:
            return tensors * 3
        return [*tensors, tensors[1]] if self._spare else tensors

    def _class_columns(self, info: TensorInfo, others: int) -> int:
        labels = len(self._spec.labels)
        bare = self._yolo.classes == "none" and math.prod(info.shape) == self._total * others
        return 0 if bare else labels

    def _layouts(self, classes: int, *, joined: bool) -> Iterator[NDArray[np.int64]]:
        steps = [5 + classes] * 3 if joined else [4, 1, classes]
        starts = [0, 4, 5] if joined else [0, 0, 0]
        before = 0
        for rows, columns, anchors in self._sizes:
            layout = np.zeros(places.LAYOUT_LENGTH, np.int64)
            layout[places.CELLS] = columns * rows
            layout[places.COLUMNS] = columns
            layout[places.ANCHORS] = anchors
            layout[places.CLASSES] = classes
            layout[_STEPS] = steps
            layout[_STARTS] = [
                start + before * step for start, step in zip(starts, steps, strict=True)
            ]
            before += rows * columns * anchors
            yield layout

    def _check(self, info: TensorInfo, values: int) -> None:
        wanted, hint = self._order(values), ""
        if _is_folded(info.shape, wanted):
            return
        if len(self._sizes) == 1:
            rows, columns, anchors = self._sizes[0]
            other = "cells" if self._yolo.layout == "anchors" else "anchors"
            if _is_folded(info.shape, self._order(values, other)):
                hint = f'the shape is that of layout = "{other}" in [yolo]'
            elif _is_folded(info.shape, (anchors, values, rows, columns)):
                hint = "the channels come first: convert the model with channels last (NHWC)"
        asked = wanted
        if self._yolo.layout == "cells" and len(wanted) > 2:
            asked = (*wanted[:-2], wanted[-2] * wanted[-1])
        raise ModelError(
            f"{self._spec.name}: output {info.name!r} has shape {info.shape}, the manifest asks"
            f" for {(1, *asked)}",
            hint or "correct labels, input size, or stride and anchors of the head",
        )

    def _order(self, values: int, layout: str = "") -> tuple[int, ...]:
        """The dimensions of a tensor, as few joined as possible."""
        rows, columns, anchors = self._sizes[0]
        anchors_first = (layout or self._yolo.layout) == "anchors"
        if len(self._sizes) > 1:
            alike = all(size[2] == anchors for size in self._sizes)
            if anchors_first or not alike:
                return (self._total, values)
            return (self._total // anchors, anchors, values)
        if anchors_first:
            return (anchors, rows, columns, values)
        return (rows, columns, anchors, values)


def _is_folded(shape: Iterable[int], order: Iterable[int]) -> bool:
    """Whether a shape joins neighbouring dimensions of `order`, and changes nothing else."""
    edges, given = list(accumulate(order, mul)), list(accumulate(shape, mul))
    return given[-1:] == edges[-1:] and set(given) <= {1, *edges}


def _class_rule(yolo: YoloSpec) -> int:
    if yolo.classes == "none":
        return places.OBJECTNESS_ALONE
    # What the graph has activated is a probability, whatever made it one.
    return places.SHARED if yolo.classes == "softmax" and not yolo.activated else places.INDEPENDENT


def _size_of(spec: ModelSpec, yolo: YoloSpec, head: YoloHead) -> tuple[int, int, int]:
    """Rows, columns and anchors of a grid."""
    size: Size = spec.input.frame_size
    return size.height // head.stride, size.width // head.stride, len(yolo.anchors(head))


def _tensor_names(spec: ModelSpec, yolo: YoloSpec, head: YoloHead) -> list[str]:
    keys = ["joined"] if spec.head == "raw" else ["boxes", "objectness", "classes"]
    if yolo.classes == "none" and spec.head == "split":
        keys.remove("classes")
    for key in keys:
        if key not in head.outputs:
            raise ModelError(
                f"manifest of {spec.name}: the {spec.head} head of stride {head.stride}"
                f" needs an output {key!r}"
            )
    return [name for key in keys for given, name in head.outputs.items() if given == key]


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
        if yolo.classes == "none" and len(spec.labels) > 1:
            raise ModelError(
                f'manifest of {spec.name}: {len(spec.labels)} labels and classes = "none"',
                "a model that has no class scores knows one label",
            )
        groups: dict[tuple[str, ...], list[YoloHead]] = {}
        for head in yolo.heads:
            groups.setdefault(tuple(_tensor_names(spec, yolo, head)), []).append(head)
        self._tensors = [_Tensors(spec, yolo, heads, outputs) for heads in groups.values()]
        self.reads = tuple(name for tensors in self._tensors for name in tensors.reads)
        capacity = sum(tensors.anchor_count for tensors in self._tensors)
        self._workspace = Workspace(spec.nms, spec.labels, capacity, spec.name)

    def decode(
        self, outputs: dict[str, NDArray[Any]], letterbox: Letterbox, thresholds: Thresholds
    ) -> Detections:
        """Decode one inference; see `Decoder`."""
        workspace = self._workspace
        if workspace.configure(letterbox, thresholds):
            for tensors in self._tensors:
                for grid in tensors.grids:
                    grid.set_threshold(thresholds.score)
        # No inner function: its annotations would be evaluated for each frame (8 us).
        return workspace.decode(lambda boxes, notes: self._collect(outputs, boxes, notes))

    def _collect(
        self,
        outputs: dict[str, NDArray[Any]],
        boxes: NDArray[np.float32],
        notes: NDArray[np.int32],
    ) -> int:
        count, settings = 0, self._workspace.settings
        for tensors in self._tensors:
            flat = tensors.read(outputs)
            for grid in tensors.grids:
                count = grid.collect(flat, settings, boxes, notes, count)
        return count
